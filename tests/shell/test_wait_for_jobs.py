"""`wait_for_jobs`: when it returns, with what, and what becomes of the jobs that are left."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from awaitbatch import (
    AwaitBatchError,
    BatchClient,
    ClientClosedError,
    DescribeError,
    FixedInterval,
    InvalidJobIdError,
    JobFailedError,
    JobNotCompleteError,
    JobNotFoundError,
    JobOutcome,
    JobResults,
    JobsFailedError,
    JobStatus,
    JobTrouble,
)
from awaitbatch.testing import Fault, LifeCycle
from tests.support import ENDED, LONG, make_client

from .support import FaultyTransport, client_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from awaitbatch.testing import BatchServer

FAILS = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=2, outcome="FAILED", exit_code=3)


def running(seconds: float) -> LifeCycle:
    """A job that runs from the start, for so long."""
    return LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=seconds)


def statuses(server: BatchServer, job_ids: list[str]) -> set[JobStatus]:
    """The states in which jobs are."""
    return {server.status_of(job_id) for job_id in job_ids}


class TestReturning:
    """When it returns, and with what."""

    async def test_all_completed(self, server: BatchServer, client: BatchClient) -> None:
        """It returns a mapping in the order of the ids, sorted into four."""
        cycles = [running(8), FAILS, ENDED]
        job_ids = [*(server.add_job(life_cycle=cycle) for cycle in cycles), "ghost"]
        results = await client.wait_for_jobs(job_ids, status_retries=2)
        assert list(results) == job_ids
        assert (list(results.succeeded), list(results.failed)) == ([job_ids[0], job_ids[2]], [job_ids[1]])
        assert (list(results.errors), results.pending) == (["ghost"], {})
        assert results[job_ids[0]].status == "SUCCEEDED"
        with pytest.raises(JobFailedError, match="exit code 3"):
            results[job_ids[1]].result()
        assert repr(results) == "<JobResults of 4 jobs: 2 succeeded, 1 failed, 1 not followed>"

    async def test_first_completed(self, server: BatchServer, client: BatchClient) -> None:
        """It returns at the first that has ended, together with those of the same answer; no error counts."""
        job_ids = ["ghost", *(server.add_job(life_cycle=running(seconds)) for seconds in (9, 9, 90))]
        results = await client.wait_for_jobs(job_ids, return_when="FIRST_COMPLETED", status_retries=2)
        assert list(results.succeeded) == job_ids[1:3]
        assert list(results.pending) == job_ids[3:]
        assert results[job_ids[3]].status == "RUNNING"
        with pytest.raises(JobNotCompleteError, match="it was last seen as RUNNING"):
            results[job_ids[3]].result()
        assert client.statistics().pending == 0

    async def test_first_failed(self, server: BatchServer, client: BatchClient) -> None:
        """It returns at the first failure; neither success nor an id that is not found is one."""
        cycles = [ENDED, LONG, FAILS]
        job_ids = [*(server.add_job(life_cycle=cycle) for cycle in cycles), "ghost"]
        results = await client.wait_for_jobs(job_ids, return_when="FIRST_FAILED", status_retries=1)
        assert list(results.pending) == [job_ids[1]]
        assert list(results.failed) == [job_ids[2]]

    async def test_first_failed_without_a_failure(self, server: BatchServer, client: BatchClient) -> None:
        """It is ALL_COMPLETED then."""
        job_ids = [server.add_job(life_cycle=running(seconds)) for seconds in (1, 5)]
        results = await client.wait_for_jobs(job_ids, return_when="FIRST_FAILED")
        assert list(results.succeeded) == job_ids

    async def test_the_time_is_up(self, server: BatchServer, client: BatchClient) -> None:
        """With a timeout it returns, the rest is pending, and can be waited for."""
        loop = asyncio.get_running_loop()
        job_ids = [server.add_job(life_cycle=running(seconds)) for seconds in (2, 20)]
        begin = loop.time()
        results = await client.wait_for_jobs(job_ids, timeout=5)
        assert loop.time() - begin == 5
        assert list(results.pending) == job_ids[1:]
        results.raise_for_failures()
        results = await client.wait_for_jobs(results.pending)
        assert list(results.succeeded) == job_ids[1:]
        assert list((await client.wait_for_jobs(job_ids, timeout=0)).pending) == job_ids

    async def test_a_source_is_waited_for(self, server: BatchServer, client: BatchClient) -> None:
        """Ids may come from an asynchronous generator; its TimeoutError is its own."""

        async def submit(error: Exception | None = None) -> AsyncIterator[Any]:
            for _ in range(3):
                yield server.add_job(life_cycle=ENDED)
                await asyncio.sleep(2)
            if error is not None:
                raise error
            yield "no id"

        results = await client.wait_for_jobs(submit())
        assert len(results.succeeded) == 3
        assert list(results.errors) == ["'no id'"]
        with pytest.raises(TimeoutError, match="mine"):
            await client.wait_for_jobs(submit(TimeoutError("mine")), timeout=100)

    async def test_bad_arguments(self, client: BatchClient) -> None:
        """They are refused before anything is sent."""
        wait: Any = client.wait_for_jobs
        refused: list[tuple[dict[str, Any], type[Exception]]] = [
            ({"return_when": "FIRST_EXCEPTION"}, ValueError),
            ({"timeout": -1}, ValueError),
            ({"timeout": "1"}, TypeError),
            ({"terminate_on_exit": 3}, TypeError),
            ({"backof": 3}, TypeError),
        ]
        for arguments, error in refused:
            with pytest.raises(error, match=next(iter(arguments))):
                await wait(["a"], **arguments)
        with pytest.raises(InvalidJobIdError):
            await wait(["no id"])
        with pytest.raises(TypeError):
            await wait("a")
        assert client.statistics().calls == 0


class TestRaising:
    """`raise_for_failures`."""

    @staticmethod
    def failed(number: int, **members: Any) -> JobOutcome:
        """The outcome of a job that failed."""
        job_id = f"job-{number}"
        return JobOutcome(job_id, "FAILED", {"jobId": job_id, "status": "FAILED", **members})

    def results(self, *outcomes: JobOutcome) -> JobResults:
        """The results of a wait for a thousand jobs."""
        good = [JobOutcome(f"good-{number}", "SUCCEEDED", {}) for number in range(1000 - len(outcomes))]
        return JobResults({outcome.job_id: outcome for outcome in [*outcomes, *good]})

    def test_nothing_has_failed(self) -> None:
        """Then it does nothing, whatever is pending."""
        self.results(JobOutcome("a", "RUNNING")).raise_for_failures()

    def test_one_failed_job_raises_itself(self) -> None:
        """A single failure is never wrapped."""
        with pytest.raises(JobFailedError, match="job-1"):
            self.results(self.failed(1)).raise_for_failures()
        with pytest.raises(JobNotFoundError, match="gone"):
            self.results(JobOutcome("a", error=JobNotFoundError("gone"))).raise_for_failures()

    def test_several_are_counted_by_reason(self) -> None:
        """The text has a count for each reason, the most frequent first, and not a line for each job."""
        out_of_memory = {"container": {"reason": "OutOfMemoryError: Container killed", "exitCode": 137}}
        outcomes = [
            *(self.failed(number, **out_of_memory) for number in range(3)),
            *(self.failed(number, container={"exitCode": 1}) for number in range(3, 5)),
            self.failed(5, statusReason="Host EC2 (instance i-1) terminated."),
            JobOutcome("ghost", error=JobNotFoundError("gone")),
            JobOutcome("denied", error=DescribeError("no", code="AccessDeniedException")),
        ]
        with pytest.raises(JobsFailedError) as caught:
            self.results(*outcomes).raise_for_failures()
        error = caught.value
        assert error.message == (
            "6 of 1,000 jobs failed: 3 out of memory, 2 exit code 1, 1 host lost; "
            "2 more could not be followed: 1 not found, 1 AccessDeniedException"
        )
        assert len(error.exceptions) == 8
        assert isinstance(error, AwaitBatchError | ExceptionGroup)
        group = error.subgroup(JobNotFoundError)
        assert isinstance(group, JobsFailedError)
        assert [str(one) for one in group.exceptions] == ["gone"]
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(again), str(again), len(again.exceptions)) == (JobsFailedError, str(error), 8)

    def test_rare_reasons_are_counted_together(self) -> None:
        """A text stays short however many reasons there are."""
        outcomes = [self.failed(number, container={"exitCode": number}) for number in range(1, 30)]
        with pytest.raises(JobsFailedError, match="1 exit code 6, 23 for other reasons"):
            self.results(*outcomes).raise_for_failures()

    def test_none_could_be_followed(self) -> None:
        """Errors alone are told as such."""
        errors = [JobOutcome(job_id, error=JobNotFoundError(job_id)) for job_id in "ab"]
        with pytest.raises(JobsFailedError, match=r"^2 of 1,000 jobs could not be followed: 2 not found"):
            self.results(*errors).raise_for_failures()

    def test_what_could_not_be_terminated_is_noted(self) -> None:
        """The error says so."""
        results = JobResults({"a": self.failed(1), "b": JobOutcome("b")}, {"b": ValueError("no")})
        with pytest.raises(JobFailedError) as caught:
            results.raise_for_failures()
        assert caught.value.__notes__ == [
            "1 AWS Batch job could not be terminated: ValueError: no; terminate it yourself: b"
        ]


class TestTerminating:
    """What `terminate_on_exit` does to the jobs that have not ended."""

    async def test_the_rest_is_terminated(self, server: BatchServer, client: BatchClient) -> None:
        """However it returns, what has not ended is terminated by then, for the given reason."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(120)]
        failed = server.add_job(life_cycle=FAILS)
        await client.wait_for_jobs(
            [*job_ids, failed], return_when="FIRST_FAILED", terminate_on_exit="a sibling failed"
        )
        assert statuses(server, job_ids) == {JobStatus.FAILED}
        assert (await client.describe(job_ids[7]))["statusReason"] == "a sibling failed"

    async def test_without_it_all_go_on(self, server: BatchServer, client: BatchClient) -> None:
        """Nothing is terminated that nobody asked for."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        await client.wait_for_jobs(job_ids, timeout=2)
        async for _ in client.watch(job_ids):
            break
        await asyncio.sleep(10)
        assert statuses(server, job_ids) == {JobStatus.RUNNING}

    @pytest.mark.parametrize("leave", ["break", "error", "cancel", "scope", "group", "limit"])
    async def test_however_it_is_left(self, server: BatchServer, client: BatchClient, leave: str) -> None:
        """Left by break, by an error, by one or the other cancellation, or as no check is left."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(150)]

        async def body() -> None:
            limits: Any = {"max_retries": 2} if leave == "limit" else {}
            async with client.watch(job_ids, terminate_on_exit="enough", **limits) as changes:
                async for _ in changes:
                    match leave:
                        case "break":
                            break
                        case "error":
                            raise ZeroDivisionError
                        case "limit":
                            pass
                        case _:
                            await asyncio.sleep(1000)

        match leave:
            case "cancel":
                task = asyncio.create_task(body())
                await asyncio.sleep(2)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert task.cancelled()
            case "scope":
                with anyio.move_on_after(2) as scope:
                    await body()
                assert scope.cancelled_caught
            case "group":
                with pytest.raises(ExceptionGroup):  # noqa: PT012
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(body())
                        await asyncio.sleep(2)
                        raise ZeroDivisionError
            case _:
                await asyncio.gather(body(), return_exceptions=True)
        assert statuses(server, job_ids) == {JobStatus.FAILED}
        assert client.statistics().pending == 0

    async def test_a_bare_loop_is_left(self, server: BatchServer, client: BatchClient) -> None:
        """Without `async with` the client terminates them in a task of its own."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(10)]
        async for _ in client.watch(job_ids, terminate_on_exit="enough"):
            break
        await asyncio.sleep(5)
        assert statuses(server, job_ids) == {JobStatus.FAILED}

    async def test_a_second_cancellation_leaves_it_to_the_client(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Who is cancelled while jobs are terminated leaves at once, and they are terminated all the same."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(100)]
        wait = asyncio.create_task(client.wait_for_jobs(job_ids, terminate_on_exit="enough"))
        await asyncio.sleep(2)
        wait.cancel()
        await asyncio.sleep(0.1)
        assert not wait.done()
        wait.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wait.cancelled()
        assert JobStatus.RUNNING in statuses(server, job_ids)
        await asyncio.sleep(20)
        assert statuses(server, job_ids) == {JobStatus.FAILED}

    async def test_what_ended_or_is_not_there_is_not_terminated(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Neither a job that has ended, nor an id that was not found, nor one that was discarded is terminated."""
        ended, stays, runs = (server.add_job(life_cycle=cycle) for cycle in (ENDED, LONG, LONG))
        async with client.watch(
            [ended, stays, runs, "ghost"], status_retries=1, terminate_on_exit="x"
        ) as changes:
            changes.discard(stays)
            await asyncio.sleep(5)
        assert server.status_of(runs) is JobStatus.FAILED
        assert server.status_of(stays) is JobStatus.RUNNING
        assert server.statistics.calls["TerminateJob"] == 1

    async def test_a_source_is_stopped_first(self, server: BatchServer, client: BatchClient) -> None:
        """What a source has submitted up to its end is terminated, too."""
        job_ids: list[str] = []

        async def submit() -> AsyncIterator[str]:
            try:
                while True:
                    job_ids.append(server.add_job(life_cycle=LONG))
                    yield job_ids[-1]
                    await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
                job_ids.append(server.add_job(life_cycle=LONG))
                yield job_ids[-1]

        results = await client.wait_for_jobs(submit(), timeout=5, terminate_on_exit="enough")
        assert list(results) == job_ids[:-1]
        assert statuses(server, job_ids) == {JobStatus.FAILED}
        assert results.not_terminated == {}

    @pytest.mark.parametrize("seconds", [7, 30])
    async def test_a_source_that_takes_its_time(
        self, server: BatchServer, client: BatchClient, caplog: pytest.LogCaptureFixture, seconds: float
    ) -> None:
        """What it gives long after it was stopped is terminated, too, or named if that was given up."""
        first, last = (server.add_job(life_cycle=LONG) for _ in range(2))

        async def submit() -> AsyncIterator[str]:
            try:
                yield first
                await asyncio.Event().wait()
            finally:
                # As somebody does who waits for the answer to what is on its way.
                await asyncio.sleep(seconds)
                yield last

        async with client.watch(submit(), terminate_on_exit="enough") as changes:
            await anext(changes)
        await asyncio.sleep(seconds)
        assert statuses(server, [first]) == {JobStatus.FAILED}
        is_named = (
            f"1 AWS Batch job could not be terminated in time; terminate it yourself: {last}" in caplog.text
        )
        assert (statuses(server, [last]) == {JobStatus.FAILED}) is not is_named
        assert is_named is (seconds > 2 * 5)

    async def test_a_source_that_ends_while_others_are_terminated(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """What it gives last, while the jobs that it gave before are being terminated, is terminated after them."""
        server.lacking.add("TerminateJobs")
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(50)]

        async def submit() -> AsyncIterator[str]:
            try:
                for job_id in job_ids[:-1]:
                    yield job_id
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(5.5)
                yield job_ids[-1]

        async with client.watch(submit(), terminate_on_exit="enough") as changes:
            await anext(changes)
        assert statuses(server, job_ids) == {JobStatus.FAILED}

    async def test_an_ill_client_terminates_nothing(
        self, server: BatchServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody's jobs die because DescribeJobs is denied, and a WARNING says that they go on."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        transport = FaultyTransport(server, lambda *_: client_error(403, "AccessDeniedException"))
        async with make_client(transport, backoff=FixedInterval(1)) as client:
            results = await client.wait_for_jobs(job_ids, terminate_on_exit="enough")
        assert len(results.errors) == 3
        assert statuses(server, job_ids) == {JobStatus.RUNNING}
        assert (
            "3 AWS Batch jobs were not terminated, since it is not known what became of them: " in caplog.text
        )

    @pytest.mark.parametrize("wrapped", [False, True])
    async def test_a_block_that_a_describe_error_leaves(
        self, server: BatchServer, client: BatchClient, wrapped: bool
    ) -> None:
        """Also if it is another job's, and in a group: it says nothing about the jobs."""
        job_id = server.add_job(life_cycle=LONG)
        error: Exception = DescribeError("no")
        with pytest.raises((DescribeError, ExceptionGroup)):
            async with client.watch([job_id], terminate_on_exit="enough"):
                raise ExceptionGroup("several", [error]) if wrapped else error
        await asyncio.sleep(5)
        assert server.status_of(job_id) is JobStatus.RUNNING

    async def test_jobs_whose_checks_fail_as_those_of_a_sibling_that_ended(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """Who leaves at the first `DescribeError` of many does not terminate the jobs that another call asks for."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(120)]
        async with client.watch(job_ids, terminate_on_exit="enough", keep_open=True) as changes:
            rule = server.inject(Fault.ACCESS_DENIED, begin=2, operations=["DescribeJobs"])
            async for item in changes:
                if isinstance(item, JobTrouble):
                    break
        await asyncio.sleep(5)
        assert statuses(server, job_ids) == {JobStatus.RUNNING}
        # One that is seen again is terminated, whatever befell others.
        async with client.watch(job_ids, terminate_on_exit="enough", keep_open=True) as changes:
            async for item in changes:
                if isinstance(item, JobTrouble):
                    server.heal(rule)
                    await asyncio.sleep(5)
                    break
        assert JobStatus.FAILED in statuses(server, job_ids)

    async def test_a_job_that_is_watched_anew(
        self, server: BatchServer, client: BatchClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What became of it when it was watched before does not count."""
        job_id = server.add_job(life_cycle=LONG)
        rule = server.inject(Fault.SERVER_EXCEPTION, begin=1)
        watch = client.watch([job_id], terminate_on_exit="enough", keep_open=True, max_retries=3)
        async with watch as changes:
            async for item in changes:
                if isinstance(item, JobTrouble):
                    server.heal(rule)
                    changes.add(job_id)
                    await anext(changes)
                    break
        assert server.status_of(job_id) is JobStatus.FAILED
        assert "not terminated" not in caplog.text

    async def test_checks_that_failed_to_the_last(self, server: BatchServer, client: BatchClient) -> None:
        """A job whose checks are used up is terminated, but not if the last of them failed."""
        job_id = server.add_job(life_cycle=LONG)
        limits: Any = {"max_retries": 3, "terminate_on_exit": "enough"}
        server.inject(Fault.SERVER_EXCEPTION, begin=1)
        assert (await client.wait_for_jobs([job_id], **limits)).errors
        assert server.status_of(job_id) is JobStatus.RUNNING
        server.heal()
        assert (await client.wait_for_jobs([job_id], **limits)).errors
        assert server.status_of(job_id) is JobStatus.FAILED

    async def test_a_defect_terminates_nothing(
        self, server: BatchServer, client: BatchClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client that broke down terminates nobody."""

        def broken(*_: object) -> None:
            message = "a defect"
            raise ZeroDivisionError(message)

        job_id = server.add_job(life_cycle=LONG)
        with pytest.raises(ClientClosedError):  # noqa: PT012
            async with client.watch([job_id], terminate_on_exit="enough") as changes:
                await anext(changes)
                monkeypatch.setattr("awaitbatch._core.windows.Windows.take", broken)
                await anext(changes)
        assert server.status_of(job_id) is JobStatus.RUNNING

    @pytest.mark.parametrize("shared", [False, True])
    async def test_leaving_the_client_first(self, server: BatchServer, *, shared: bool) -> None:
        """Closing the client terminates what its blocks are to terminate, and ends them."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(20)]
        make: Callable[..., BatchClient] = BatchClient.shared if shared else BatchClient
        settings: dict[str, Any] = {"linger": 0} if shared else {}
        client = make(transport=server.transport(), backoff=FixedInterval(1), **settings)

        async def body() -> None:
            async with client.watch(job_ids, terminate_on_exit="enough", keep_open=True) as changes:
                async for _ in changes:
                    pass

        async with client:
            block = asyncio.create_task(body())
            await asyncio.sleep(2)
        assert statuses(server, job_ids) == {JobStatus.FAILED}
        with pytest.raises(ClientClosedError):
            await block
        await asyncio.sleep(1)

    async def test_closing_is_bounded(self, server: BatchServer, caplog: pytest.LogCaptureFixture) -> None:
        """A client that closes gives up after close_timeout, and names the jobs that are left."""
        loop = asyncio.get_running_loop()
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        client = make_client(server, backoff=FixedInterval(1), close_timeout=2)
        async with client:
            changes = client.watch(job_ids, terminate_on_exit="enough")
            await anext(changes)
            server.inject(Fault.HANG, operations=["TerminateJobs"])
            begin = loop.time()
        assert loop.time() - begin <= 4
        assert (
            f"3 AWS Batch jobs could not be terminated in time; terminate them yourself: {job_ids[0]}"
            in caplog.text
        )

    async def test_leaving_is_bounded(
        self, server: BatchServer, client: BatchClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A block whose jobs cannot be terminated is left in the end; the error and a WARNING name them."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(3)]
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError) as caught:  # noqa: PT012
            async with client.watch(job_ids, terminate_on_exit="enough") as changes:
                await anext(changes)
                server.inject(Fault.HANG, operations=["TerminateJobs"])
                begin = loop.time()
                raise ZeroDivisionError
        assert loop.time() - begin <= 11
        text = f"3 AWS Batch jobs could not be terminated in time; terminate them yourself: {job_ids[0]}"
        assert text in caplog.text
        assert text in caught.value.__notes__[0]

    async def test_what_is_refused_is_named(self, server: BatchServer, client: BatchClient) -> None:
        """Jobs that AWS refuses to terminate are in the results, with the error."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(2)]
        server.inject(Fault.DENIED_JOBS, job_ids=job_ids[:1])
        results = await client.wait_for_jobs(job_ids, timeout=2, terminate_on_exit="enough")
        assert list(results.not_terminated) == job_ids[:1]
        assert "AccessDenied" in str(results.not_terminated[job_ids[0]])
        assert server.status_of(job_ids[1]) is JobStatus.FAILED

    async def test_many_are_terminated_as_long_as_it_comes_on(
        self, server: BatchServer, client: BatchClient
    ) -> None:
        """It takes its time, far beyond close_timeout, since there are only so many calls a second."""
        job_ids = [server.add_job(life_cycle=LONG) for _ in range(500)]
        results = await client.wait_for_jobs(job_ids, timeout=10, terminate_on_exit="enough")
        assert results.not_terminated == {}
        assert statuses(server, job_ids) == {JobStatus.FAILED}
