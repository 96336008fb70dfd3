"""How events reach observers, and what becomes of an observer that raises."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest

from awaitbatch._config import ClientConfig
from awaitbatch.instrumentation import CallEnded, ClientClosed, Event, JobChanged, JobMissing, WaitEnded
from awaitbatch.instrumentation._log import LogObserver
from awaitbatch.instrumentation._observers import Observers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awaitbatch.instrumentation import Observer

EVENT = JobMissing(job_id="j")


class OwnError(BaseException):
    """Not even an Exception."""


def observers(*others: Observer) -> Observers:
    """They, and a log without a clock."""
    return Observers(LogObserver(lambda: math.nan), others)


def test_all_hear_the_same_in_turn() -> None:
    """Each observer gets the event itself, in the order in which they were given."""
    heard: list[tuple[str, Event]] = []
    several = observers(
        lambda event: heard.append(("first", event)), lambda event: heard.append(("second", event))
    )
    several.notify(EVENT)
    several.notify(EVENT)
    assert heard == [("first", EVENT), ("second", EVENT)] * 2
    assert all(event is EVENT for _, event in heard)


def test_an_object_that_can_be_called_observes() -> None:
    """An observer may be an object with `__call__`."""

    class Counter:
        count = 0

        def __call__(self, _: Event, /) -> None:
            self.count += 1

    counter = Counter()
    observers(counter).notify(EVENT)
    assert counter.count == 1


def test_later_changes_of_the_list_are_nothing() -> None:
    """Who observes is settled when the client is made."""
    heard: list[Event] = []
    given: list[Observer] = []
    several = Observers(LogObserver(lambda: math.nan), given)
    given.append(heard.append)
    several.notify(EVENT)
    assert heard == []


@pytest.mark.parametrize(
    "error", [ValueError, asyncio.CancelledError, OwnError, GeneratorExit, StopIteration]
)
def test_what_an_observer_raises_hurts_nobody(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The observers after one that raises hear every event, and one line says what it raised."""
    heard: list[Event] = []

    def raising(_: Event) -> None:
        raise error(7)

    several = observers(raising, heard.append)
    for _ in range(100):
        several.notify(EVENT)
    assert heard == [EVENT] * 100
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"raising failed on a JobMissing: {error.__name__}: 7" in record.getMessage()


def test_one_line_for_each_kind_of_error_and_observer(caplog: pytest.LogCaptureFixture) -> None:
    """Another kind of error has a line of its own, as has the same kind from another observer."""
    errors: list[BaseException] = []

    def first(_: Event) -> None:
        raise errors[-1]

    def second(_: Event) -> None:
        raise errors[-1]

    several = observers(first, second)
    for error in (ValueError("a"), ValueError("b"), KeyError("c"), ValueError("d"), KeyError("e")):
        errors.append(error)
        several.notify(EVENT)
    lines = [record.getMessage() for record in caplog.records]
    assert [(("first" in line), ("ValueError" in line)) for line in lines] == [
        (True, True),
        (False, True),
        (True, False),
        (False, False),
    ]


def test_one_observer_given_twice_is_two(caplog: pytest.LogCaptureFixture) -> None:
    """A function that is given twice hears each event twice, and its errors are logged for each place."""

    def raising(_: Event) -> None:
        raise ValueError

    observers(raising, raising).notify(EVENT)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_wants_to_leave_may(error: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit pass."""

    def leaving(_: Event) -> None:
        raise error

    with pytest.raises(error):
        observers(leaving).notify(EVENT)


def test_an_error_that_cannot_be_shown_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose text raises is logged by its class."""

    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ZeroDivisionError

    def raising(_: Event) -> None:
        raise Mute

    observers(raising).notify(EVENT)
    assert "failed on a JobMissing: Mute;" in caplog.text


def test_an_observer_without_a_name_is_shown_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    """The line of an object that raises has its class."""

    class Unlucky:
        def __call__(self, _: Event, /) -> None:
            raise ValueError

    observers(Unlucky(), functools.partial(int, "x")).notify(EVENT)  # type: ignore[arg-type]
    assert "Unlucky failed" in caplog.records[0].getMessage()
    assert "the observer partial failed" in caplog.records[1].getMessage()


class _OddlyNamed:
    def __init__(self, name: object) -> None:
        self.name = name

    def __getattr__(self, _: str) -> object:
        if isinstance(self.name, Exception):
            raise self.name
        return self.name

    def __call__(self, _: Event, /) -> None:
        raise ValueError


@pytest.mark.parametrize("name", [7, None, LookupError()])
def test_an_observer_with_an_odd_name_hurts_nobody(name: object) -> None:
    """An observer that raises, and whose name is no text or cannot be had, hurts nobody either."""
    heard: list[Event] = []
    observers(_OddlyNamed(name), heard.append).notify(EVENT)
    assert heard == [EVENT]


def test_text_of_an_error_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """An error with a newline stays in its line."""

    def raising(_: Event) -> None:
        message = "\x1b[31mone\nWARNING two"
        raise ValueError(message)

    observers(raising).notify(EVENT)
    assert caplog.records[0].getMessage().isprintable()


@pytest.mark.parametrize("kind", [JobChanged, JobMissing, WaitEnded])
def test_who_wants_events_about_single_jobs(kind: type[Event], caplog: pytest.LogCaptureFixture) -> None:
    """Any observer wants them all; the log wants changes, and only while it writes INFO."""
    assert observers(print).want(kind)
    assert not observers().want(kind)
    caplog.set_level(logging.INFO, "awaitbatch")
    assert observers().want(kind) == (kind is JobChanged)


async def _coroutine_function(_: Event) -> None:
    """What a user might hope that it works."""


class _CoroutineMethod:
    async def observe(self, _: Event) -> None:
        """The same, as a method."""


class _CalledAsCoroutine:
    async def __call__(self, _: Event, /) -> None:
        """The same, as an object."""


@pytest.mark.parametrize("given", [(), [], [print], (print, print), [functools.partial(print, end="")]])
def test_lists_and_tuples_of_functions_are_observers(given: Sequence[Observer]) -> None:
    """A list or tuple of what can be called is fine, an empty one too."""
    assert ClientConfig(observers=given).observers is given


@pytest.mark.parametrize(
    "given",
    [
        None,
        print,
        7,
        "print",
        {print},
        {print: print},
        iter([print]),
        [None],
        [print, "print"],
        [[print]],
        [_coroutine_function],
        [print, _coroutine_function],
        [functools.partial(_coroutine_function)],
        [_CoroutineMethod().observe],
        [str],
    ],
)
def test_what_cannot_observe_is_refused(given: Any) -> None:
    """Whatever is no list of functions, or has an async one, is refused at once, by a text that says what is needed."""
    expected = "observers must be a list of functions that take an event, none of them async, not "
    with pytest.raises((TypeError, ValueError), match=expected):
        ClientConfig(observers=given)


def test_an_object_with_an_async_call_is_refused() -> None:
    """An object whose `__call__` is a coroutine function would never be awaited, so it is refused too."""
    with pytest.raises((TypeError, ValueError), match="none of them async"):
        ClientConfig(observers=[_CalledAsCoroutine()])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        ClientClosed(region_name=None, error=None),
        CallEnded.of("SubmitJob", "answered", ids=0, seconds=1.0),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_are_frozen(event: Event) -> None:
    """What one observer hears no other can have changed."""
    for name in event.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, name, "other")


def test_observers_come_and_go() -> None:
    """One that is added hears of events until it is removed as often as it was given, once each."""
    first: list[Event] = []
    second: list[Event] = []
    several = observers(first.append)
    several.add([first.append, second.append])
    several.add([second.append])
    several.notify(EVENT)
    assert first == second == [EVENT]
    several.remove([first.append, second.append])
    several.notify(EVENT)
    assert first == second == [EVENT] * 2
    several.remove([first.append])
    several.remove([second.append])
    several.notify(EVENT)
    assert first == second == [EVENT] * 2


def test_somebody_hears_of_waits_or_nobody_does() -> None:
    """Whether events of waits are to be made changes with the observers."""
    several = observers()
    assert not several.hear_of_waits
    several.add([print])
    assert several.hear_of_waits
    several.remove([print])
    assert not several.hear_of_waits
