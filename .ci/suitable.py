"""Print "minor version, path" of the Python that runs this if the tests can run on it, else fail.

They can on a released CPython from 3.11 on, with its global lock and with what a virtual environment needs.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import find_spec

suitable = (
    sys.implementation.name == "cpython"
    and sys.version_info >= (3, 11)
    and sys.version_info.releaselevel == "final"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and find_spec("venv") is not None
    and find_spec("ensurepip") is not None
)
if not suitable:
    sys.exit(1)
print(f"3.{sys.version_info.minor}", getattr(sys, "_base_executable", sys.executable))
