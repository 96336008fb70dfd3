"""What a client says of itself when it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a client has done since it was opened, and is doing. All is zero, or empty, before that.

    Attributes:
        pending: Describes and polls that are waiting now.
        in_flight: DescribeJobs calls under way.
        calls: DescribeJobs calls sent.
        jobs_described: Jobs found in good answers.
        ids_per_call: Mean number of ids in a call; 0.0 before the first.
        throttled: DescribeJobs calls that AWS rejected for coming too fast.
        failed: DescribeJobs calls that failed for any other reason.
        rate: DescribeJobs calls per second that may be sent at present.
        ids: Job ids sent in DescribeJobs calls.
        submits: SubmitJob calls sent, those included that were sent again.
        terminates: Calls sent that end jobs, likewise: TerminateJob, CancelJob, and those that end many jobs at once.
        pending_by_status: How many jobs describes and polls wait for, by the state in which polls have seen them last,
            such as ``{"RUNNABLE": 3, "RUNNING": 120}``; ``"NOT_SEEN"`` if none has. States without jobs are left out.
        overdue: Seconds since the oldest check that still waits for its call should have been made; 0.0 if none is
            late.
        lag_p50: Seconds from the end of a job to the answer that ended the wait for it: the median, within 4 %. It
            compares AWS's clock with this machine's. Only waits that began before their jobs had ended count; 0.0
            before the first.
        lag_p99: The same for 99 % of them.
    """

    pending: int = 0
    in_flight: int = 0
    calls: int = 0
    jobs_described: int = 0
    ids_per_call: float = 0.0
    throttled: int = 0
    failed: int = 0
    rate: float = 0.0
    ids: int = 0
    submits: int = 0
    terminates: int = 0
    pending_by_status: Mapping[str, int] = field(default_factory=dict)
    overdue: float = 0.0
    lag_p50: float = 0.0
    lag_p99: float = 0.0
