"""What a client does and sees, as events for observers: metrics, live displays, the log of another system.

::

    from awaitbatch.instrumentation import Event, JobChanged

    def watch(event: Event) -> None:
        match event:
            case JobChanged(job_id=job_id, after=status):
                print(job_id, status)

    async with BatchClient(observers=[watch]) as client: ...

The log is such an observer, too.
"""

from awaitbatch.instrumentation._events import (
    CallEnded,
    ClientClosed,
    ClientOpened,
    CredentialsRenewed,
    Event,
    JobChanged,
    JobMissing,
    JobStuck,
    NoAnswer,
    Observer,
    SignatureOutdated,
    SubmissionUnclaimed,
    TerminationUnclaimed,
    Throttled,
    WaitEnded,
)

__all__ = [
    "CallEnded",
    "ClientClosed",
    "ClientOpened",
    "CredentialsRenewed",
    "Event",
    "JobChanged",
    "JobMissing",
    "JobStuck",
    "NoAnswer",
    "Observer",
    "SignatureOutdated",
    "SubmissionUnclaimed",
    "TerminationUnclaimed",
    "Throttled",
    "WaitEnded",
]
