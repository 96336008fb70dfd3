"""The registry of contestants: what drives each of them, and what it needs installed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment; contestants may share one.

    Attributes:
        name: Its directory.
        requirements: What pip installs.
        pythons: The versions of Python that it may have, the best first.
    """

    name: str
    requirements: tuple[str, ...]
    pythons: tuple[str, ...] = ("3.11", "3.12", "3.13")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to await jobs.

    Attributes:
        name: What the command line and the results call it.
        about: What the table calls it.
        script: The module below `contestants` that drives it.
        environment: Where it runs.
        settings: What its script is told beside the usual.
        has_defaults: Whether it has a pace of its own; a plain loop has the one that it is given.
        scenarios: The names of those that it takes part in, if the others would say nothing new; None for all.
    """

    name: str
    about: str
    script: str
    environment: Environment
    settings: dict[str, Any] = field(default_factory=dict)
    has_defaults: bool = True
    scenarios: frozenset[str] | None = None


_OURS: Final = Environment(
    name="awaitbatch",
    # With what the checkout needs by name, so that a change of that is a change of the environment.
    requirements=("--editable", f"{ROOT}[uvloop]", *_PROJECT["dependencies"]),
)
_PLAIN: Final = Environment(name="plain", requirements=("aiobotocore>=3.8.0",))
_AIRFLOW: Final = Environment(
    name="airflow",
    requirements=("apache-airflow==3.3.2", "apache-airflow-providers-amazon[aiobotocore]>=9.39"),
)
_AIO_AWS: Final = Environment(
    name="aio-aws",
    requirements=("aio-aws==0.22.1",),
    # PyYAML 5, which it asks for, can no longer be built for newer ones.
    pythons=("3.9", "3.8"),
)
_MINIWDL: Final = Environment(name="miniwdl-aws", requirements=("miniwdl-aws==0.12.2",))
_REDUN: Final = Environment(name="redun", requirements=("redun==0.44.1",))

OURS: Final = "awaitbatch"
OURS_ON_UVLOOP: Final = "awaitbatch-uvloop"
OURS_STEADY: Final = "awaitbatch-steady"
FULL_LOOP: Final = "plain-100"
SINGLE_LOOP: Final = "plain-1"
IDLE: Final = "idle"

CONTESTANTS: Final[dict[str, Contestant]] = {
    contestant.name: contestant
    for contestant in (
        Contestant(name=OURS, about="awaitbatch", script="awaitbatch_client", environment=_OURS),
        Contestant(
            name=OURS_ON_UVLOOP,
            about="awaitbatch, uvloop",
            script="awaitbatch_client",
            environment=_OURS,
            settings={"loop": "uvloop"},
        ),
        Contestant(
            name=OURS_STEADY,
            about="awaitbatch, steady rate",
            script="awaitbatch_client",
            environment=_OURS,
            settings={"steady": True},
            has_defaults=False,
        ),
        Contestant(
            name=FULL_LOOP,
            about="plain loop, 100 ids a call",
            script="plain_loop",
            environment=_PLAIN,
            settings={"ids_per_call": 100},
            has_defaults=False,
        ),
        Contestant(
            name=SINGLE_LOOP,
            about="plain loop, 1 id a call",
            script="plain_loop",
            environment=_PLAIN,
            settings={"ids_per_call": 1},
            has_defaults=False,
        ),
        Contestant(
            name="airflow-trigger",
            about="Airflow BatchJobTrigger",
            script="airflow_trigger",
            environment=_AIRFLOW,
        ),
        Contestant(
            name="airflow-hook",
            about="Airflow BatchClientHook, threads",
            script="airflow_hook",
            environment=_AIRFLOW,
        ),
        Contestant(name="aio-aws", about="aio-aws", script="aio_aws_waiter", environment=_AIO_AWS),
        Contestant(
            name="miniwdl-aws",
            about="miniwdl-aws, threads",
            script="miniwdl_describer",
            environment=_MINIWDL,
        ),
        Contestant(
            name="redun",
            about="redun",
            script="redun_monitor",
            environment=_REDUN,
        ),
        Contestant(
            name=IDLE,
            about="(idle: the harness itself)",
            script="idle",
            environment=_PLAIN,
            has_defaults=False,
            scenarios=frozenset({"1000", "5000"}),
        ),
    )
}
