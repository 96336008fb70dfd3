"""The AWS Batch service as a pure model: no clock, no network, no event loop.

A call is the name of an operation and a JSON body; its answer is a JSON body or a `ServiceError`. The time is
an argument, `now`, in seconds; descriptions show it in milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from awaitbatch.jobs import JobStatus
from awaitbatch.testing._model.description import Account, encode_description, summarize
from awaitbatch.testing._model.faults import JOB_FAULTS, ON_THE_WAY, THROTTLES, FaultPlan, FaultRule, error_of
from awaitbatch.testing._model.job import NOT_STARTED, Job, Stop, Timeline
from awaitbatch.testing._model.life_cycle import LifeCycle
from awaitbatch.testing._model.requests import DescribeJobs, ListJobs, Request, StopJob, SubmitJob
from awaitbatch.testing._model.response_faults import alter_body, alter_jobs
from awaitbatch.testing._model.service_error import (
    ServiceError,
    client_exception,
    require,
    too_many_requests,
    unknown_operation,
    unreadable,
)
from awaitbatch.testing._model.statistics import ServerStatistics
from awaitbatch.testing._model.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LifeCycleSource: TypeAlias = LifeCycle | Callable[[Random], LifeCycle]

_Request = TypeVar("_Request", bound=Request)

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(?:[:#][0-9]+)?", re.ASCII)
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
_MOST_IDS = 100
_MOST_SUMMARIES = 1000
_LONGEST_REASON = 1024
_ARRAY_SIZES = range(2, 10_001)


class Answer(NamedTuple):
    """A good answer.

    Attributes:
        body: Its JSON.
        mishap: What befalls it on its way to the caller, or None.
    """

    body: bytes
    mishap: FaultRule | None = None


class BatchModel:
    """The jobs of one account in one region, and the five operations on them.

    Args:
        account: Where everything lies.
        default_life_cycle: What becomes of jobs whose submission does not say; a callable is asked for each.
        bucket: The account's throttle; or the throttles of single operations, by their names; or None.
        description_bytes: The least size of a description.
        random: The source of ids and of random life cycles.
    """

    def __init__(
        self,
        *,
        account: Account,
        default_life_cycle: LifeCycleSource,
        bucket: TokenBucket | Mapping[str, TokenBucket] | None,
        description_bytes: int,
        random: Random,
    ) -> None:
        self.account = account
        self.statistics = ServerStatistics()
        self._default_life_cycle = default_life_cycle
        # By operation; None for all that have none of their own.
        self.buckets: dict[str | None, TokenBucket] = {}
        if isinstance(bucket, TokenBucket):
            self.buckets[None] = bucket
        elif bucket is not None:
            self.buckets.update(bucket)
        self._description_bytes = description_bytes
        self._random = random
        # Of its own, or ordering a fault would change the ids and lives of jobs.
        self.faults = FaultPlan(Random(random.random()))
        self._jobs: dict[str, Job] = {}
        self._submitted = 0
        self._operations: dict[str, Callable[[bytes, float], bytes]] = {
            "SubmitJob": _decoding(SubmitJob, self._submit_job),
            "DescribeJobs": _decoding(DescribeJobs, self._describe_jobs),
            "ListJobs": _decoding(ListJobs, self._list_jobs),
            "CancelJob": _decoding(StopJob, self._cancel_job),
            "TerminateJob": _decoding(StopJob, self._terminate_job),
        }

    @property
    def operations(self) -> Iterable[str]:
        """The names of the operations that `answer` knows."""
        return self._operations.keys()

    @property
    def job_count(self) -> int:
        """How many jobs there are, ended ones included."""
        return len(self._jobs)

    def answer(self, operation: str, body: bytes, now: float) -> Answer:
        """Answer one call of the AWS Batch API as it would arrive over HTTP.

        Raises:
            ServiceError: The call is throttled, refused, unknown, or befallen by a fault that is an error.
        """
        perform = self._operations.get(operation)
        if perform is None:
            raise unknown_operation(operation)
        self.statistics.record_call(operation, now)
        bucket = self.buckets.get(operation) or self.buckets.get(None)
        if bucket is not None and not bucket.take(now):
            self.statistics.record_throttle(operation, now)
            raise too_many_requests()
        rule = self.faults.draw(operation, body, now)
        error = error_of(rule.fault) if rule is not None else None
        if rule is not None and error is not None:
            self._count(rule)
            if rule.fault in THROTTLES:
                self.statistics.record_throttle(operation, now)
            else:
                self.statistics.refused[operation] += 1
            raise error
        try:
            answered = perform(body, now)
        except ServiceError:
            self.statistics.refused[operation] += 1
            raise
        self.statistics.answered[operation] += 1
        if rule is None:
            return Answer(answered)
        self._count(rule)
        return self._altered(answered, rule, now)

    def note_refusals(self, calls: int, now: float) -> None:
        """Connections of so many calls were refused or reset because the server is down."""
        for rule in self.faults.refusals():
            if rule.begin <= now < rule.end:
                self._count(rule, calls)
                return

    def _count(self, rule: FaultRule, calls: int = 1) -> None:
        rule.hit(calls)
        self.statistics.faults[rule.fault] += calls

    def _altered(self, body: bytes, rule: FaultRule, now: float) -> Answer:
        if rule.fault in ON_THE_WAY:
            return Answer(body, rule)
        if rule.fault in JOB_FAULTS:

            def older(job_id: str) -> bytes:
                return self._older_description(self._jobs[job_id], now)

            return Answer(alter_jobs(rule.fault, body, rule.job_ids, self.faults.random, older))
        return Answer(alter_body(rule.fault, body))

    def add_job(
        self,
        submission: SubmitJob,
        now: float,
        *,
        job_id: str | None = None,
        life_cycle: LifeCycle | None = None,
    ) -> Job:
        """Add a job, with its children if it is an array; ids and life cycles left open are drawn at random.

        Raises:
            ValueError: The id is malformed or taken, or the submission's parameters are no life cycle.
        """
        if job_id is None:
            job_id = str(UUID(int=self._random.getrandbits(128), version=4))
        elif not _JOB_ID.fullmatch(job_id) or job_id in self._jobs:
            message = f"not an id for a new job: {job_id!r}"
            raise ValueError(message)
        job = self._new_job(submission, now, job_id, life_cycle)
        if submission.array_properties is not None:
            for index in range(submission.array_properties.size):
                child = self._new_job(submission, now, f"{job_id}:{index}", life_cycle)
                child.parent, child.index = job, index
                job.children.append(child)
            job.follow_children()
        for added in (job, *job.children):
            self._jobs[added.job_id] = added
        return job

    def forget_job(self, job_id: str) -> None:
        """Let a job vanish from all answers, as AWS does some days after its end; unknown ids are ignored."""
        self._jobs.pop(job_id, None)

    def job(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            KeyError: There is none.
        """
        return self._jobs[job_id]

    def ended(self, now: float) -> dict[str, float]:
        """The ids of all jobs that have ended, with the moments at which they did."""
        ends = ((job_id, job.ended_at(now)) for job_id, job in self._jobs.items())
        return {job_id: end for job_id, end in ends if end is not None}

    def _new_job(self, submission: SubmitJob, now: float, job_id: str, life_cycle: LifeCycle | None) -> Job:
        if life_cycle is None:
            source = self._default_life_cycle
            default = source if isinstance(source, LifeCycle) else source(self._random)
            life_cycle = LifeCycle.from_parameters(submission.parameters, default)
        self._submitted += 1
        return Job(
            job_id=job_id,
            number=self._submitted,
            submission=submission,
            life_cycle=life_cycle,
            timeline=Timeline(life_cycle, now),
        )

    def _submit_job(self, request: SubmitJob, now: float) -> bytes:
        require(
            _JOB_NAME.fullmatch(request.job_name),
            f"jobName is required and must match {_JOB_NAME.pattern}: {request.job_name!r}",
        )
        require(request.job_queue, "jobQueue is required")
        require(request.job_definition, "jobDefinition is required")
        array = request.array_properties
        require(
            array is None or array.size in _ARRAY_SIZES,
            f"an array job has {_ARRAY_SIZES[0]} to {_ARRAY_SIZES[-1]} children",
        )
        try:
            job = self.add_job(request, now)
        except ValueError as error:
            raise client_exception(str(error)) from None
        return msgspec.json.encode(
            {
                "jobArn": self.account.arn("job", job.job_id),
                "jobName": request.job_name,
                "jobId": job.job_id,
            }
        )

    def _describe_jobs(self, request: DescribeJobs, now: float) -> bytes:
        asked = len(request.jobs)
        require(0 < asked <= _MOST_IDS, f"jobs must name 1 to {_MOST_IDS} jobs, not {asked}")
        # One join of all pieces: a body of 350 KB takes longer to copy again than to look up its jobs.
        pieces = [b'{"jobs":[']
        for job_id in dict.fromkeys(request.jobs):
            job = self._jobs.get(job_id)
            if job is not None:
                if len(pieces) > 1:
                    pieces.append(b",")
                pieces.append(self._description(job, now))
            else:
                require(_JOB_ID.fullmatch(job_id), f"not a job id: {job_id!r}")
        self.statistics.ids_described += asked
        pieces.append(b"]}")
        return b"".join(pieces)

    def _description(self, job: Job, now: float) -> bytes:
        stage = job.timeline.stage(now)
        job.shown = max(job.shown, stage)
        known_stage, encoded = job.encoded
        # What an array's parent says of its children changes between its own stages.
        if stage != known_stage or job.children:
            encoded = encode_description(job, now, self.account, self._description_bytes)
            job.encoded = (stage, encoded)
        return encoded

    def _older_description(self, job: Job, now: float) -> bytes:
        """The job as it was just before the newest state that an answer has shown."""
        moment = math.nextafter(job.timeline.begins[job.shown], -math.inf)
        return encode_description(job, min(moment, now), self.account, self._description_bytes)

    def _list_jobs(self, request: ListJobs, now: float) -> bytes:
        jobs = self._listed(request)
        status, token = request.job_status, request.next_token or "0"
        limit = _MOST_SUMMARIES if request.max_results is None else request.max_results
        require(status in JobStatus.__members__, f"not a jobStatus: {status!r}")
        require(not request.filters, "this model of AWS Batch knows no filters")
        require(0 < limit <= _MOST_SUMMARIES, f"maxResults must be 1 to {_MOST_SUMMARIES}, not {limit}")
        require(token.isdecimal(), "not a nextToken of ours")
        page: list[Job] = []
        answer: dict[str, Any] = {}
        for job in jobs:
            if job.number <= int(token) or job.status(now) != status:
                continue
            if len(page) == limit:
                answer["nextToken"] = str(page[-1].number)
                break
            page.append(job)
        answer["jobSummaryList"] = [summarize(job, now, self.account) for job in page]
        return msgspec.json.encode(answer)

    def _listed(self, request: ListJobs) -> Iterable[Job]:
        """The jobs that a ListJobs call is about, in the order of their submission."""
        match (request.job_queue, request.array_job_id, request.multi_node_job_id):
            case (str(queue), None, None):
                arn = self.account.arn("job-queue", queue)
                return (
                    job
                    for job in self._jobs.values()
                    if job.parent is None and self.account.arn("job-queue", job.submission.job_queue) == arn
                )
            case (None, str(array), None):
                return self._jobs[array].children if array in self._jobs else ()
            case (None, None, str()):
                return ()
            case _:
                message = "exactly one of jobQueue, arrayJobId and multiNodeJobId is required"
                raise client_exception(message)

    def _cancel_job(self, request: StopJob, now: float) -> bytes:
        job = self._to_stop(request)
        if job is not None:
            stop = Stop("CancelJob", request.reason)
            for one in job.children or (job,):
                if one.status(now) in NOT_STARTED:
                    one.end(now, stop)
        return b"{}"

    def _terminate_job(self, request: StopJob, now: float) -> bytes:
        job = self._to_stop(request)
        if job is not None:
            job.end(now, Stop("TerminateJob", request.reason))
        return b"{}"

    def _to_stop(self, request: StopJob) -> Job | None:
        require(_JOB_ID.fullmatch(request.job_id), f"jobId is required as a job id: {request.job_id!r}")
        reason = len(request.reason)
        require(0 < reason <= _LONGEST_REASON, f"reason is required, in 1 to {_LONGEST_REASON} characters")
        return self._jobs.get(request.job_id)


def _decoding(
    request_type: type[_Request], perform: Callable[[_Request, float], bytes]
) -> Callable[[bytes, float], bytes]:
    decoder = msgspec.json.Decoder(request_type)

    def decode_and_perform(body: bytes, now: float) -> bytes:
        try:
            request = decoder.decode(body)
        except msgspec.DecodeError as error:
            raise unreadable(str(error)) from None
        return perform(request, now)

    return decode_and_perform
