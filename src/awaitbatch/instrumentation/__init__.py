"""What a client does and sees, as events for observers: metrics, live displays, the log of another system.

::

    from awaitbatch.instrumentation import Event, JobChanged

    def watch(event: Event) -> None:
        match event:
            case JobChanged(job_id=job_id, status=status):
                print(job_id, status)

    async with BatchClient(observers=[watch]) as client: ...

The log is such an observer, too. `OpenTelemetryObserver` and `PrometheusObserver` make metrics of events; they need the
extras ``otel`` and ``prometheus``.
"""

from typing import TYPE_CHECKING

from awaitbatch.instrumentation._events import (
    CallEnded,
    ChecksOverdue,
    ClientClosed,
    ClientOpened,
    CredentialsRenewed,
    Event,
    JobChanged,
    JobMissing,
    JobStuck,
    NoAnswer,
    Observer,
    ObserverRemoved,
    SignatureOutdated,
    SubmissionUnclaimed,
    TerminationUnclaimed,
    Throttled,
    WaitBegan,
    WaitEnded,
)

if TYPE_CHECKING:
    from awaitbatch.instrumentation._opentelemetry import OpenTelemetryObserver
    from awaitbatch.instrumentation._prometheus import PrometheusObserver

__all__ = [
    "CallEnded",
    "ChecksOverdue",
    "ClientClosed",
    "ClientOpened",
    "CredentialsRenewed",
    "Event",
    "JobChanged",
    "JobMissing",
    "JobStuck",
    "NoAnswer",
    "Observer",
    "ObserverRemoved",
    "OpenTelemetryObserver",
    "PrometheusObserver",
    "SignatureOutdated",
    "SubmissionUnclaimed",
    "TerminationUnclaimed",
    "Throttled",
    "WaitBegan",
    "WaitEnded",
]

# Name to module, what that needs, and the extra that brings it.
_EXTRAS = {
    "OpenTelemetryObserver": ("_opentelemetry", "opentelemetry", "otel"),
    "PrometheusObserver": ("_prometheus", "prometheus_client", "prometheus"),
}


if not TYPE_CHECKING:
    # Type checkers have the names above, and would take any other for one that is there.

    def __getattr__(name: str) -> object:
        """Import an observer when it is first asked for, since it needs an extra."""
        from importlib import import_module  # noqa: PLC0415

        if name not in _EXTRAS:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        module, package, extra = _EXTRAS[name]
        try:
            value = getattr(import_module(f"{__name__}.{module}"), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != package:
                raise
            message = f"{name} needs {package}: pip install 'awaitbatch[{extra}]'"
            raise ModuleNotFoundError(message, name=error.name) from None
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
