"""How long a modelled job spends in each of its states, and how it ends."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from awaitbatch._jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

Outcome: TypeAlias = Literal["SUCCEEDED", "FAILED"]
Range: TypeAlias = tuple[float, float]

_PREFIX = "awaitbatch."


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeCycle:
    """The life of one job: seconds in each state, and the end.

    A job with several attempts goes from RUNNING back to RUNNABLE after each but the last; the attempts
    before the last fail. With a `running` of ``math.inf`` it never ends by itself.

    Attributes:
        submitted: Seconds in SUBMITTED.
        pending: Seconds in PENDING.
        runnable: Seconds in RUNNABLE, for each attempt.
        starting: Seconds in STARTING, for each attempt.
        running: Seconds in RUNNING, for each attempt.
        outcome: The state in which the last attempt ends.
        exit_code: Exit code of the last attempt; None is 0 for a success and 1 for a failure.
        reason: What the container says of its end, such as ``OutOfMemoryError: …``; most say nothing.
        status_reason: What AWS Batch says of the job's end.
        attempts: How often the job is tried, at least 1.

    Raises:
        ValueError: A duration is negative or not a number, there is no attempt, or the outcome is none.
    """

    submitted: float = 0.1
    pending: float = 0.1
    runnable: float = 0.3
    starting: float = 0.2
    running: float = 1.0
    outcome: Outcome = "SUCCEEDED"
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str = "Essential container in task exited"
    attempts: int = 1

    def __post_init__(self) -> None:
        for name in ("submitted", "pending", "runnable", "starting", "running"):
            seconds = getattr(self, name)
            if not seconds >= 0:
                message = f"a job cannot spend {seconds!r} seconds in {name.upper()}"
                raise ValueError(message)
        if self.attempts < 1:
            message = f"a job is tried at least once, not {self.attempts!r} times"
            raise ValueError(message)
        if self.outcome not in {"SUCCEEDED", "FAILED"}:
            message = f"a job ends SUCCEEDED or FAILED, not {self.outcome!r}"
            raise ValueError(message)

    def stages(self) -> Iterator[tuple[JobStatus, float]]:
        """Yield the states in their order, with the seconds in each; the last lasts for ever."""
        yield JobStatus.SUBMITTED, self.submitted
        yield JobStatus.PENDING, self.pending
        for _ in range(self.attempts):
            yield JobStatus.RUNNABLE, self.runnable
            yield JobStatus.STARTING, self.starting
            yield JobStatus.RUNNING, self.running
        yield JobStatus(self.outcome), math.inf

    def under(self, attempts: int | None, seconds: float | None) -> LifeCycle:
        """What becomes of it under a submission's ``retryStrategy`` and ``timeout``.

        A job that fails is tried so often, unless its life cycle has several attempts already. An attempt that runs
        longer is ended, and not tried again.
        """
        if seconds is not None and self.running > seconds:
            reason = "Job attempt duration exceeded timeout"
            return replace(
                self, running=seconds, outcome="FAILED", exit_code=137, status_reason=reason, attempts=1
            )
        if attempts is not None and self.outcome == "FAILED" and self.attempts == 1:
            return replace(self, attempts=attempts)
        return self

    def to_parameters(self, index: int | None = None) -> dict[str, str]:
        """Write the life cycle as ``parameters`` of SubmitJob, which `BatchServer` and `MotoServer` obey.

        Args:
            index: The child of an array, or the node, that is to live so; None for the job, and for all its children
                for which nothing else is said.
        """
        prefix = _PREFIX if index is None else f"{_PREFIX}{index}."
        return {prefix + name: str(value) for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_parameters(
        cls, parameters: Mapping[str, str], default: LifeCycle | None = None, index: int | None = None
    ) -> LifeCycle:
        """Read a life cycle from ``parameters`` of SubmitJob; what they leave open is taken from `default`.

        Raises:
            ValueError: A parameter that begins with ``awaitbatch.`` is unknown or has an unusable value.
        """
        return ParameterizedLives(parameters).life_cycle(index, default or cls())


_NAMES = [field.name for field in fields(LifeCycle)]


class ParameterizedLives:
    """The life cycles that the ``parameters`` of one SubmitJob give to a job and to its children.

    Raises:
        ValueError: A parameter that begins with ``awaitbatch.`` is unknown.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._chosen: dict[int | None, dict[str, str]] = {}
        for parameter, value in parameters.items():
            if not parameter.startswith(_PREFIX):
                continue
            index, dot, name = parameter.removeprefix(_PREFIX).rpartition(".")
            if name not in _NAMES or (dot and not index.isdecimal()):
                choices = ", ".join(_PREFIX + name for name in _NAMES)
                message = (
                    f"unknown parameter {parameter}; a life cycle has {choices}, and that of a child has its index "
                    f"before the name, as in {_PREFIX}7.outcome"
                )
                raise ValueError(message)
            self._chosen.setdefault(int(index) if dot else None, {})[name] = value

    def life_cycle(self, index: int | None, default: LifeCycle) -> LifeCycle:
        """The life cycle of a child, or of the job itself if the index is None.

        Raises:
            ValueError: A parameter has an unusable value.
        """
        chosen = self._chosen.get(None, {})
        if index is not None:
            chosen = chosen | self._chosen.get(index, {})
        if not chosen:
            return default
        try:
            return msgspec.convert({**asdict(default), **chosen}, LifeCycle, strict=False)
        except msgspec.ValidationError as error:
            message = f"not a life cycle: {error}"
            raise ValueError(message) from None

    def check_indices(self, size: int) -> None:
        """Refuse what is said of children that a job with so many does not have.

        Raises:
            ValueError: There is such a child.
        """
        for index in self._chosen:
            if index is not None and index >= size:
                message = f"parameters begin with {_PREFIX}{index}. but the job has {size} children"
                raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeCycleRanges:
    """Life cycles drawn at random: call it with a `random.Random`.

    Attributes:
        submitted: Lowest and highest seconds in SUBMITTED; so also for the other states.
        pending: Seconds in PENDING.
        runnable: Seconds in RUNNABLE.
        starting: Seconds in STARTING.
        running: Seconds in RUNNING.
        failing: The share of jobs that fail, from 0 to 1.
        attempts: The fewest and the most attempts.
    """

    submitted: Range = (0.05, 0.2)
    pending: Range = (0.05, 0.2)
    runnable: Range = (0.1, 0.5)
    starting: Range = (0.1, 0.3)
    running: Range = (0.5, 2.0)
    failing: float = 0.0
    attempts: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name in ("submitted", "pending", "runnable", "starting", "running", "attempts"):
            given = getattr(self, name)
            if not isinstance(given, tuple | list) or len(given) != 2:  # noqa: PLR2004
                message = f"{name} must be a range (low, high), not {given!r}"
                raise TypeError(message)
            low, high = given
            if not 0 <= low <= high:
                message = f"{name} must be a range from low to high, not {low!r} to {high!r}"
                raise ValueError(message)
        if self.attempts[0] < 1:
            message = f"a job has at least 1 attempt, not {self.attempts[0]!r}"
            raise ValueError(message)
        if not 0 <= self.failing <= 1:
            message = f"failing is a share from 0 to 1, not {self.failing!r}"
            raise ValueError(message)

    def __call__(self, random: Random) -> LifeCycle:
        """Draw one life cycle."""
        return LifeCycle(
            submitted=_draw(random, self.submitted),
            pending=_draw(random, self.pending),
            runnable=_draw(random, self.runnable),
            starting=_draw(random, self.starting),
            running=_draw(random, self.running),
            outcome="FAILED" if random.random() < self.failing else "SUCCEEDED",
            attempts=random.randint(*self.attempts),
        )


def _draw(random: Random, seconds: Range) -> float:
    low, high = seconds
    # uniform() makes nan of infinities, and a job that never ends is what somebody may want.
    return low if low == high else random.uniform(low, high)
