"""What a client is made with, checked once and for all."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypedDict

from awaitbatch._aiobotocore_transport import AiobotocoreTransport
from awaitbatch._core.backoff import Backoff, ExponentialBackoff, Window
from awaitbatch._core.text import shown
from awaitbatch._factory_transport import FactoryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from types_aiobotocore_batch import BatchClient as AiobotocoreBatchClient

    from awaitbatch._factory_transport import Factory
    from awaitbatch._transport import BatchTransport
    from awaitbatch.instrumentation import Observer

DEFAULT_BACKOFF: Final = ExponentialBackoff()
"""The schedule of all clients that are given none."""

_CLIENT_SETTINGS: Final = (
    *("region_name", "endpoint_url", "config", "verify"),
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
)


class ClientArguments(TypedDict, total=False):
    """What `BatchClient` takes, for functions that hand it on, so that type checkers know a name that is none."""

    region_name: str | None
    endpoint_url: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    profile_name: str | None
    config: AioConfig | None
    verify: bool | str | None
    use_ssl: bool
    session: AioSession | None
    client: AiobotocoreBatchClient | None
    transport: BatchTransport | None
    max_retries: float | None
    status_retries: float | None
    backoff: Backoff | None
    delay: float | None
    max_calls_per_second: float
    max_submits_per_second: float
    max_terminates_per_second: float
    call_timeout: float
    close_timeout: float
    describe_window: float
    observers: Sequence[Observer]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """The arguments of `BatchClient` and of `BatchClient.shared`, which document them.

    Raises:
        ValueError: One makes no sense, or contradicts another.
        TypeError: One is of a wrong type.
    """

    region_name: str | None = None
    endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    profile_name: str | None = None
    config: AioConfig | None = None
    verify: bool | str | None = None
    use_ssl: bool = True
    session: AioSession | None = None
    client: AiobotocoreBatchClient | None = None
    transport: BatchTransport | None = None
    max_retries: float | None = math.inf
    status_retries: float | None = None
    backoff: Backoff = DEFAULT_BACKOFF
    delay: float | None = None
    max_calls_per_second: float = 10.0
    max_submits_per_second: float = 50.0
    max_terminates_per_second: float = 20.0
    call_timeout: float = 15
    close_timeout: float = 5
    describe_window: float = 0.005
    observers: Sequence[Observer] = ()
    factory: Factory | None = None

    def __post_init__(self) -> None:
        self._refuse_contradictions()
        require_backoff(self.backoff)
        object.__setattr__(self, "max_retries", max_retries_of(self.max_retries))
        object.__setattr__(self, "status_retries", status_retries_of(self.status_retries))
        if self.delay is not None:
            object.__setattr__(self, "delay", delay_of(self.delay))
        for holds, name, expected in (
            (_is_positive, "max_calls_per_second", "a positive number"),
            (_is_positive, "max_submits_per_second", "a positive number"),
            (_is_positive, "max_terminates_per_second", "a positive number"),
            (_is_positive, "call_timeout", "a positive number of seconds"),
            (is_duration, "close_timeout", "a number of seconds"),
            (is_duration, "describe_window", "a number of seconds"),
        ):
            object.__setattr__(self, name, number(holds, name, getattr(self, name), expected))
        expected = "a list of functions that take an event, none of them async"
        require(_are_observers, "observers", self.observers, expected)

    def make_transport(self) -> BatchTransport:
        """The transport that was given, or one over aiobotocore.

        Raises:
            TypeError: The client or the session is not aiobotocore's.
            ValueError: The client is one of another service.
        """
        if self.transport is not None:
            return self.transport
        if self.factory is not None:
            return FactoryTransport(self.factory)
        settings = self._client_settings()
        return AiobotocoreTransport(
            client=self.client, session=self.session, profile_name=self.profile_name, **settings
        )

    def window_of_describes(self) -> Window:
        """When a describe is sent, in seconds from now."""
        return Window(0.0, self.describe_window)

    def _client_settings(self) -> dict[str, Any]:
        """The arguments of ``session.create_client`` that were given."""
        settings = {name: getattr(self, name) for name in _CLIENT_SETTINGS}
        settings["use_ssl"] = None if self.use_ssl else False
        return {name: value for name, value in settings.items() if value is not None}

    def _refuse_contradictions(self) -> None:
        sources = ("profile_name", "session", "client", "transport", "factory")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) > 1:
            message = f"give only one of {', '.join(given)}"
            raise ValueError(message)
        settings = self._client_settings()
        if settings and given in (["client"], ["transport"], ["factory"]):
            message = f"{', '.join(settings)} cannot be changed: {given[0]}= comes with its own settings"
            raise ValueError(message)


def max_retries_of(given: float | None) -> float | None:
    """``max_retries`` as a float, or None; raises what `number` does."""
    return _bound("max_retries", given, least=0)


def status_retries_of(given: float | None) -> float | None:
    """The same for ``status_retries``."""
    return _bound("status_retries", given, least=1)


def _bound(name: str, given: float | None, *, least: int) -> float | None:
    if given is None:
        return None
    return number(lambda bound: bound >= least, name, given, f"at least {least}, or math.inf for no bound")


def delay_of(given: float) -> float:
    """The same for ``delay``."""
    return number(math.isfinite, "delay", given, "a number of seconds")


def require_backoff(given: object) -> None:
    """Refuse what is no `Backoff`, as `require` does."""
    require(_is_backoff, "backoff", given, "an object with window(tries), such as FixedInterval(5)")


def number(holds: Callable[[float], bool], name: str, value: object, expected: str) -> float:
    """A number as a float, whatever its type; an integer that no float can hold becomes infinite.

    A Decimal, say, can be compared with a float, but not be added to one.

    Raises:
        ValueError: It does not hold.
        TypeError: It is not a number.
    """
    # Text is none, though `float` would read it.
    error = TypeError if isinstance(value, str | bytes | bytearray) else ValueError
    try:
        result = math.nan if error is TypeError else float(value)  # type: ignore[arg-type]
    except OverflowError:
        result = math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except TypeError:
        result, error = math.nan, TypeError
    except Exception:  # noqa: BLE001
        # The user's own number, or a Decimal that signals.
        result = math.nan
    if not holds(result):
        message = f"{name} must be {expected}, not {shown(value)}"
        raise error(message)
    return result


def require(holds: Callable[[Any], bool], name: str, value: object, expected: str) -> None:
    """Refuse an argument unless it holds.

    Raises:
        ValueError: It does not.
        TypeError: It cannot even be asked.
    """
    try:
        error: type[Exception] | None = None if holds(value) else ValueError
    except TypeError:
        error = TypeError
    if error is not None:
        message = f"{name} must be {expected}, not {shown(value)}"
        raise error(message)


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf


def is_duration(seconds: float) -> bool:
    """Whether it is a number of seconds that somebody can wait for."""
    return 0 <= seconds < math.inf


def _is_backoff(given: object) -> bool:
    return isinstance(given, Backoff) and not isinstance(given, type)


def _are_observers(given: object) -> bool:
    return isinstance(given, list | tuple) and all(map(_can_hear, given))


def require_on_change(given: object) -> None:
    """Refuse what cannot be told of changes, as `require` does."""
    require(_can_hear, "on_change", given, "a function that takes an event, not an async one")


def _can_hear(given: object) -> bool:
    if isinstance(given, type) or not callable(given):
        return False
    # Of an object, its method is what may be a coroutine function.
    return not (inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__))
