"""Print the lowest admitted version of each core dependency, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

LOWER_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)")

pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
for requirement in pyproject["project"]["dependencies"]:
    bound = LOWER_BOUND.fullmatch(requirement)
    if bound is None:
        message = f"a core dependency has a lower bound and nothing else, unlike {requirement!r}"
        raise SystemExit(message)
    print(f"{bound['name']}=={bound['version']}")
