"""``awaitbatch wait`` in virtual time: what it prints, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.testing import BatchServer, Fault, LifeCycle
from tests.cli.support import Screen, run
from tests.support import ENDED, LONG, make_server

pytestmark = pytest.mark.virtual_time

FAILS = LifeCycle(
    submitted=0,
    pending=0,
    runnable=0,
    starting=0,
    running=4,
    outcome="FAILED",
    exit_code=137,
    reason="OutOfMemoryError: Container killed due to memory usage",
)
SUCCEEDS = LifeCycle(submitted=0, pending=0, runnable=2, starting=0, running=4)


def job(server: BatchServer, name: str, life_cycle: LifeCycle, **settings: object) -> str:
    """Add a job whose id begins with its name."""
    return server.add_job(f"{name}-id-of-{name}", job_name=name, life_cycle=life_cycle, **settings)  # type: ignore[arg-type]


async def test_few_jobs() -> None:
    """A line for each change, with the whole id and the reason where somebody may ask on, and the counts at last."""
    server, screen = make_server(), Screen()
    good, bad = job(server, "good", SUCCEEDS), job(server, "bad", FAILS)
    assert await run(server, screen, "wait", good, bad) == ExitCode.JOB_FAILED
    assert screen.out == []
    assert screen.told[:3] == [
        "waiting for 2 jobs in us-east-1",
        "good good-id- RUNNABLE",
        "bad bad-id-o RUNNING",
    ]
    assert (
        "bad bad-id-of-bad FAILED after 0:04: exit 137, OutOfMemoryError: Container killed due to memory usage"
        in screen.told
    )
    assert "good good-id- SUCCEEDED after 0:04" in screen.told
    last = screen.told[-1]
    assert last.startswith("2 of 2 ended: 1 SUCCEEDED, 1 FAILED; 0:")
    assert last.endswith(" DescribeJobs calls")


async def test_times_with_a_date() -> None:
    """With --timestamps, lines begin with ISO 8601."""
    server, screen = make_server(), Screen()
    assert await run(server, screen, "wait", job(server, "a", ENDED), "--timestamps") == ExitCode.DONE
    assert screen.err[0][10] == "T"
    assert screen.err[0].partition(" ")[0].endswith("+00:00")


async def test_many_jobs() -> None:
    """Of many, the counts come once a minute, and the first ten that fail are named."""
    server, screen = make_server(), Screen()
    lasts = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=100)
    for number in range(30):
        job(server, f"bad{number}", FAILS)
        job(server, f"good{number}", lasts)
    assert await run(server, screen, "wait", "-q", "queue") == ExitCode.JOB_FAILED
    assert screen.told[0] == "waiting for 60 jobs in us-east-1"
    assert sum(" FAILED after " in line for line in screen.told) == 10
    assert screen.told.count("more that fail are counted, and not named here") == 1
    assert screen.told[-2] == "30 of 60 ended: 30 RUNNING, 30 FAILED"
    assert screen.told[-1].startswith("60 of 60 ended: 30 SUCCEEDED, 30 FAILED; 1:")
    assert len(screen.told) == 14


async def test_lines_of_json() -> None:
    """--json prints a line for each end; with --progress, for each change."""
    server, screen = make_server(), Screen()
    good, bad = job(server, "good", SUCCEEDS), job(server, "bad", FAILS)
    await run(server, screen, "wait", good, bad, "no-such-job", "--json")
    missing, failed, succeeded = sorted(screen.records, key=lambda record: record["status"] or "")
    assert missing == {"jobId": "no-such-job", "status": None, "error": missing["error"]}
    assert (failed["jobId"], failed["jobName"], failed["status"]) == (bad, "bad", "FAILED")
    assert (failed["exitCode"], failed["attempt"], failed["attempts"]) == (137, 1, 1)
    assert failed["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert failed["stoppedAt"] - failed["startedAt"] == 4000
    assert failed["log"].keys() == {"group", "stream"}
    assert (succeeded["jobId"], succeeded["reason"]) == (good, None)
    server, screen = make_server(), Screen()
    await run(server, screen, "wait", job(server, "good", SUCCEEDS), "--json", "--progress", "plain")
    assert [record["status"] for record in screen.records] == ["RUNNABLE", "RUNNING", "SUCCEEDED"]


async def test_without_progress() -> None:
    """--progress none says nothing of jobs that are found, however they end."""
    server, screen = make_server(), Screen()
    assert await run(server, screen, "wait", job(server, "bad", FAILS), "--progress", "none") == 1
    assert screen.err == []
    await run(server, screen, "wait", "nobody", "nothing", "--progress", "none")
    assert len(screen.err) == 2
    assert "does not know it" in screen.err[0]
    assert screen.err[1] == "awaitbatch wait: 1 more not found"


async def test_a_job_that_is_not_found_is_told_within_ten_seconds() -> None:
    """The others go on, and in the end that one decides on the exit code."""
    server, screen = make_server(), Screen()
    loop, told = asyncio.get_running_loop(), []
    screen.terminal.above = lambda line: told.append((loop.time(), line))
    ids = [job(server, "bad", FAILS), job(server, "long", LifeCycle(running=60)), "no-such-job"]
    assert await run(server, screen, "wait", *ids) == ExitCode.NOT_FOUND
    [moment] = [moment for moment, line in told if "no-such-job NOT FOUND" in line]
    assert moment < 10
    assert loop.time() > 60


async def test_time_out() -> None:
    """The time is up to the second, the jobs go on, and it is said how to wait again and how to end them."""
    server, screen = make_server(), Screen()
    job_id = job(server, "long", LONG)
    assert await run(server, screen, "wait", job_id, "--timeout", "90s") == ExitCode.TIMED_OUT
    assert asyncio.get_running_loop().time() == pytest.approx(90, abs=0.1)
    assert screen.told[-3:] == [
        "awaitbatch wait: timed out after 1:30; 1 job goes on.",
        f"  Again: awaitbatch wait {job_id} --timeout 90s",
        f"  End it: awaitbatch terminate {job_id}",
    ]


async def test_jobs_that_do_not_start() -> None:
    """--start-timeout ends the wait if a job does not run by then, and does nothing if all do."""
    server, screen = make_server(), Screen()
    stays = job(server, "stays", LifeCycle(runnable=1e6))
    assert await run(server, screen, "wait", stays, "--start-timeout", "1h") == ExitCode.TIMED_OUT
    assert "1 job had not started after 1:00:00; 1 job goes on." in screen.told[-3]
    runs = job(server, "runs", LifeCycle(running=7200))
    assert await run(server, screen, "wait", runs, "--start-timeout", "1h") == ExitCode.DONE


async def test_an_array_starts_with_its_children() -> None:
    """AWS Batch shows an array as PENDING while its children run, and then it has started all the same."""
    server, screen = make_server(), Screen()
    array = server.add_job("array", array_size=3, life_cycle=LifeCycle(runnable=100, running=7200))
    assert await run(server, screen, "wait", array, "--for", "running", "--json") == ExitCode.DONE
    assert 100 < asyncio.get_running_loop().time() < 200
    assert [record["status"] for record in screen.records] == ["PENDING"]
    assert await run(server, screen, "wait", array, "--start-timeout", "1m") == ExitCode.DONE


@pytest.mark.parametrize(
    ("words", "code", "seconds"),
    [
        (["--for", "running"], ExitCode.DONE, 5),
        (["--for", "succeeded"], ExitCode.JOB_FAILED, 10),
        (["--fail-fast"], ExitCode.JOB_FAILED, 10),
        (["--any"], ExitCode.JOB_FAILED, 10),
        (["--any", "--for", "succeeded"], ExitCode.DONE, 25),
        ([], ExitCode.JOB_FAILED, 115),
    ],
    ids=str,
)
async def test_goals(words: list[str], code: int, seconds: float) -> None:
    """What is waited for decides when it is over, and how."""
    server, screen = make_server(), Screen()
    running = LifeCycle(submitted=0, pending=0, runnable=0, starting=0, running=15)
    ids = [
        job(server, "bad", FAILS),
        job(server, "good", running),
        job(server, "long", LifeCycle(running=100)),
    ]
    assert await run(server, screen, "wait", *ids, *words) == code
    assert asyncio.get_running_loop().time() < seconds


async def test_what_the_same_answer_tells() -> None:
    """Where one job is enough, those that ended with it are counted, and not said to go on."""
    server, screen = make_server(), Screen()
    ids = [job(server, name, ENDED) for name in ("a", "b", "c")]
    assert await run(server, screen, "wait", *ids, "--any") == ExitCode.DONE
    assert "3 of 3 ended: 3 SUCCEEDED" in screen.told[-1]


@pytest.mark.parametrize(
    ("exit_code", "outcome", "code"),
    [(3, "FAILED", 3), (None, "FAILED", 1), (256, "FAILED", 1), (0, "SUCCEEDED", 0)],
)
async def test_the_exit_code_of_the_job(exit_code: int | None, outcome: str, code: int) -> None:
    """--exit-code job gives the container's; a job that FAILED is never 0."""
    server, screen = make_server(), Screen()
    life_cycle = LifeCycle(running=1, outcome=outcome, exit_code=exit_code)  # type: ignore[arg-type]
    assert await run(server, screen, "wait", job(server, "a", life_cycle), "--exit-code", "job") == code


async def test_a_queue() -> None:
    """The jobs of a queue that have not ended are waited for, by their names if that is asked."""
    server, screen = make_server(), Screen()
    job(server, "align-0", FAILS)
    await asyncio.sleep(10)
    job(server, "align-1", SUCCEEDS)
    job(server, "other", LONG)
    assert await run(server, screen, "wait", "-q", "queue", "--name", "align-*") == ExitCode.DONE
    assert "1 of 1 ended: 1 SUCCEEDED" in screen.told[-1]
    assert await run(server, screen, "wait", "-q", "queue", "--name", "align-*") == ExitCode.NOT_FOUND
    assert screen.told[-1] == (
        "awaitbatch wait: queue queue has no job that has not ended and is named 'align-*'; "
        "--since also takes ended ones"
    )


async def test_a_queue_with_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --since, jobs that have ended already count, so that one that failed at once is not missed."""
    monkeypatch.setattr("time.time", asyncio.get_running_loop().time)
    server, screen = make_server(), Screen()
    await asyncio.sleep(7200)
    job(server, "align-0", FAILS)
    await asyncio.sleep(60)
    job(server, "align-1", SUCCEEDS)
    words = ["wait", "-q", "queue", "--name", "align-*", "--since", "1h"]
    assert await run(server, screen, *words) == ExitCode.JOB_FAILED
    assert "2 of 2 ended: 1 SUCCEEDED, 1 FAILED" in screen.told[-1]


async def test_an_empty_queue() -> None:
    """A queue in which all has ended is what was asked for."""
    server, screen = make_server(), Screen()
    assert await run(server, screen, "wait", "-q", "queue") == ExitCode.DONE
    assert screen.told == ["awaitbatch wait: there is no job to wait for"]


async def test_aws_refuses() -> None:
    """A refusal that concerns all jobs is said once, with what to do."""
    server, screen = make_server(), Screen()
    server.inject(Fault.ACCESS_DENIED)
    ids = [job(server, f"job{number}", LONG) for number in range(150)]
    assert await run(server, screen, "wait", *ids) == ExitCode.AWS
    refusals = [line for line in screen.err if "AccessDenied" in line]
    assert len(refusals) == 1
    assert "allow batch:DescribeJobs in the IAM policy of these credentials" in refusals[0]


async def test_nobody_answers() -> None:
    """An endpoint that never gives a good answer ends it after half a minute, and names the endpoint."""
    server, screen = make_server(), Screen()
    server.inject(Fault.BARE_503)
    assert await run(server, screen, "wait", job(server, "a", LONG)) == ExitCode.AWS
    assert asyncio.get_running_loop().time() == pytest.approx(30, abs=0.1)
    assert screen.told[-1].startswith(
        "awaitbatch wait: https://batch.example has given no good answer within 30 s; "
    )
    assert "--endpoint-url" in screen.told[-1]


@pytest.mark.parametrize("words", [["wait", "-q", "queue"], ["watch", "-q", "queue"]], ids=" ".join)
async def test_nobody_answers_to_a_list(words: list[str]) -> None:
    """The same for the list of a queue, to which no call is ever answered."""
    server, screen = make_server(), Screen()
    server.inject(Fault.HANG, seconds=1000)
    assert await run(server, screen, *words) == ExitCode.AWS
    assert asyncio.get_running_loop().time() == pytest.approx(30, abs=3)


async def test_an_outage_later_on() -> None:
    """Once AWS has answered, the wait outlasts any outage."""
    server, screen = make_server(), Screen()
    job_id = job(server, "a", LifeCycle(running=30))
    asyncio.get_running_loop().call_later(5, lambda: server.inject(Fault.BARE_503, calls=20))
    assert await run(server, screen, "wait", job_id) == ExitCode.DONE
    assert asyncio.get_running_loop().time() > 60


async def test_a_throttled_account() -> None:
    """AWS that throttles is there, and is waited for."""
    server, screen = make_server(), Screen()
    server.inject(Fault.TOO_MANY_REQUESTS, end=60)
    assert await run(server, screen, "wait", job(server, "a", ENDED)) == ExitCode.DONE
    assert asyncio.get_running_loop().time() > 60


async def test_jobs_that_are_stuck() -> None:
    """A job that has been RUNNABLE for a quarter of an hour is told of, with AWS Batch's reason."""
    server, screen = make_server(), Screen()
    job_id = job(server, "stays", LifeCycle(runnable=1e6))
    assert await run(server, screen, "wait", job_id, "--timeout", "20m") == ExitCode.TIMED_OUT
    [line] = [line for line in screen.told if "RUNNABLE for 15 min" in line]
    assert line.startswith("stays stays-id RUNNABLE for 15 min, at position 1 of its queue: ")
    # Something every five minutes, or a CI system would take it for dead.
    assert sum(line == "0 of 1 ended: 1 RUNNABLE" for line in screen.told) == 3


async def test_hostile_names_and_reasons() -> None:
    """Neither lines nor escapes come out of a name or a reason."""
    server, screen = make_server(), Screen()
    evil = "\x1b]0;owned\x07\r\nFAILED "
    life_cycle = LifeCycle(running=1, outcome="FAILED", exit_code=1, reason=evil, status_reason=evil)
    job_id = server.add_job("x", job_name="x", life_cycle=life_cycle)
    server._model.jobs[job_id].submission.job_name = evil
    await run(server, screen, "wait", job_id, "--json")
    assert len(screen.out) == 1
    assert all(line.isprintable() for line in (*screen.out, *screen.err))
    assert screen.records[0]["jobName"] == evil
    name = "'\\x1b]0;owned\\x07\\r\\nFAILED '"
    assert screen.told[-2].startswith(f"{name} x FAILED after 0:01: exit 1, ")


async def test_the_reader_of_a_pipe_goes() -> None:
    """Whoever prints into a closed pipe ends at once, and it is no job's failure."""
    server, screen = make_server(), Screen()

    def closed(_: str) -> None:
        raise BrokenPipeError

    screen.terminal.above = closed
    with pytest.raises(BrokenPipeError):
        await run(server, screen, "wait", job(server, "a", LONG))


def test_a_command_error_is_no_other() -> None:
    """What makes no sense is said without a client."""
    with pytest.raises(CommandError, match="not both"):
        asyncio.run(run(make_server_without_loop(), Screen(), "wait", "a", "-q", "queue"))


def make_server_without_loop() -> BatchServer:
    """A server that nobody calls."""
    return BatchServer()
