"""Compute environments and job queues: which there are, and their statuses on the clock.

https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html
https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobQueues.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, get_args

from awaitbatch.testing._model.service_error import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from awaitbatch.testing._model.account import Account

ResourceStatus: TypeAlias = Literal["CREATING", "UPDATING", "DELETING", "DELETED", "VALID", "INVALID"]

_MOST: Final = 100


class Change(NamedTuple):
    """From a moment on, a resource has a status, and says why; with a status of None it is gone."""

    moment: float
    status: ResourceStatus | None
    reason: str | None


@dataclass(slots=True)
class Resource:
    """One compute environment or job queue.

    Attributes:
        name: Its name.
        changes: The last change, and those to come.
    """

    name: str
    changes: list[Change] = field(default_factory=list)

    def now(self, now: float) -> Change:
        """What holds now."""
        held = Change(now, None, None)
        for change in self.changes:
            if change.moment > now:
                break
            held = change
        return held


class Resources:
    """All resources of one kind, by their ARNs, in the order in which they were first named.

    Args:
        kind: What their ARNs say that they are.
        account: Where they lie.
    """

    def __init__(self, kind: str, account: Account) -> None:
        self._kind = kind
        self._account = account
        self._resources: dict[str, Resource] = {}

    def ensure(self, name: str, now: float) -> None:
        """Let a resource be there, VALID, if nothing else was said of it."""
        if self._account.arn(self._kind, name) not in self._resources:
            self.set(name, "VALID", None, now, 0.0)

    def set(
        self, name: str, status: ResourceStatus | None, reason: str | None, now: float, after: float
    ) -> None:
        """Give a resource another status, now or later; until then it is on the way there.

        Raises:
            ValueError: There is no such status, or the time lies in the past.
        """
        if status is not None and status not in get_args(ResourceStatus):
            message = f"a status is one of {', '.join(get_args(ResourceStatus))} or None, not {status!r}"
            raise ValueError(message)
        if not after >= 0:
            message = f"after must be at least 0 seconds, not {after!r}"
            raise ValueError(message)
        arn = self._account.arn(self._kind, name)
        resource = self._resources.setdefault(arn, Resource(arn.rpartition("/")[2]))
        before = resource.now(now)
        resource.changes = [before]
        if after > 0:
            resource.changes.append(Change(now, _on_the_way(before.status, status), None))
        resource.changes.append(Change(now + after, status, reason))

    def exists(self, name: str, now: float) -> bool:
        """Whether it is there, and not about to go."""
        resource = self._resources.get(self._account.arn(self._kind, name))
        return resource is not None and resource.now(now).status not in {None, "DELETING", "DELETED"}

    def describe(
        self,
        names: list[str],
        limit: int | None,
        token: str | None,
        now: float,
        detail: Callable[[str, str, Change, Account], dict[str, Any]],
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of descriptions, and what asks for the next one.

        Args:
            names: Names or ARNs of those to describe, of which unknown ones are left out; all if there are none.
            limit: How many to describe at most.
            token: What an earlier page gave.
            now: The time.
            detail: Describes one by its name, its ARN, what holds of it, and where it lies.
        """
        require(len(names) <= _MOST, f"at most {_MOST} names can be asked for, not {len(names)}")
        limit = _MOST if limit is None else limit
        require(0 < limit <= _MOST, f"maxResults must be 1 to {_MOST}, not {limit}")
        require(token is None or token.isdecimal(), "not a nextToken of ours")
        asked = {self._account.arn(self._kind, name) for name in names}
        first = 0 if token is None else int(token)
        page: list[dict[str, Any]] = []
        for place, (arn, resource) in enumerate(self._resources.items()):
            held = resource.now(now)
            if place < first or held.status is None or (asked and arn not in asked):
                continue
            if len(page) == limit:
                return page, str(place)
            page.append(detail(resource.name, arn, held, self._account))
        return page, None


def _on_the_way(before: ResourceStatus | None, to: ResourceStatus | None) -> ResourceStatus | None:
    """The status that a resource has until it gets another one."""
    if to in {None, "DELETED"}:
        return "DELETING"
    if to in {"VALID", "INVALID"}:
        return "CREATING" if before in {None, "CREATING", "DELETED"} else "UPDATING"
    return before


def compute_environment(name: str, arn: str, held: Change, account: Account) -> dict[str, Any]:
    """A compute environment as DescribeComputeEnvironments shows it."""
    return {
        "computeEnvironmentName": name,
        "computeEnvironmentArn": arn,
        "ecsClusterArn": account.arn("cluster", f"AWSBatch-{name}", "ecs"),
        "tags": {},
        "type": "MANAGED",
        "state": "ENABLED",
        "status": held.status,
        **_reason(held, "ComputeEnvironment Healthy"),
        "computeResources": {
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 256,
            "desiredvCpus": 0,
            "instanceTypes": ["optimal"],
            "subnets": ["subnet-0a1b2c3d"],
            "securityGroupIds": ["sg-0a1b2c3d"],
            "instanceRole": account.role_arn("awaitbatch-instance-role"),
        },
        "serviceRole": account.role_arn("awaitbatch-service-role"),
        "containerOrchestrationType": "ECS",
    }


def job_queue(name: str, arn: str, held: Change, account: Account) -> dict[str, Any]:
    """A job queue as DescribeJobQueues shows it."""
    environment = account.arn("compute-environment", "awaitbatch")
    return {
        "jobQueueName": name,
        "jobQueueArn": arn,
        "state": "ENABLED",
        "status": held.status,
        **_reason(held, "JobQueue Healthy"),
        "priority": 1,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": environment}],
        "jobQueueType": "ECS",
        "tags": {},
    }


def _reason(held: Change, healthy: str) -> dict[str, str]:
    reason = healthy if held.reason is None and held.status == "VALID" else held.reason
    return {} if reason is None else {"statusReason": reason}
