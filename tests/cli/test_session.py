"""What becomes of errors, options, colours and signals, from the command line to the exit code."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from awaitbatch import DescribeError, InvalidJobIdError, JobNotFoundError
from awaitbatch.cli import _progress, main
from awaitbatch.cli._errors import explain
from awaitbatch.cli._exit_codes import CommandError, ExitCode
from awaitbatch.cli._farewell import go_on
from awaitbatch.cli._session import LogLines, client_of, with_client
from awaitbatch.cli._terminal import Terminal, is_terminal
from awaitbatch.cli._values import duration
from awaitbatch.testing import BatchServer
from tests.cli.support import Screen, arguments_of, run
from tests.support import ENDED, LONG, make_client, make_server

if TYPE_CHECKING:
    from awaitbatch.cli._terminal import Color


def refused(code: str) -> ClientError:
    """An error of AWS."""
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}},
        "TerminateJob",
    )


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NoRegionError(), ExitCode.USAGE, "there is no AWS region: give --region"),
        (
            ProfileNotFound(profile="x"),
            ExitCode.USAGE,
            "The config profile (x) could not be found; `aws configure",
        ),
        (ValueError("Invalid endpoint: foo"), ExitCode.USAGE, "Invalid endpoint: foo; check --endpoint-url"),
        (InvalidJobIdError("no id"), ExitCode.USAGE, "no id"),
        (
            JobNotFoundError("x", job_id="a"),
            ExitCode.NOT_FOUND,
            "job a: AWS Batch does not know it; check the id",
        ),
        (
            JobNotFoundError("x", job_id="a", seen=True),
            ExitCode.NOT_FOUND,
            "job a: AWS Batch does not know it any",
        ),
        (
            NoCredentialsError(),
            ExitCode.AWS,
            "Unable to locate credentials; configure credentials as for boto3",
        ),
        (refused("AccessDeniedException"), ExitCode.AWS, "allow batch:TerminateJob in the IAM policy"),
        (DescribeError("AWS Batch job (a): no"), ExitCode.AWS, "AWS Batch job (a): no"),
        (ExceptionGroup("", [ExceptionGroup("", [CommandError("x", 7)])]), 7, "x"),
    ],
)
def test_errors_in_a_sentence(error: Exception, code: int, text: str) -> None:
    """Each error has an exit code, and says what to do, with the words of the command."""
    told = explain(error)
    assert told is not None
    assert told.code == code
    assert text in str(told)


def test_an_error_of_all_jobs_names_none() -> None:
    """What is not a job's fault is said without the job; what is, with it."""
    for cause, expected in (
        (NoCredentialsError(), "Unable to locate"),
        (refused("ClientException"), "job (a)"),
    ):
        error = DescribeError("AWS Batch job (a) description error: no")
        error.__cause__ = cause
        assert expected in str(explain(error))


@pytest.mark.virtual_time
async def test_an_error_that_nobody_has_foreseen() -> None:
    """A bug must look neither like success nor like a job that has failed."""
    screen = Screen()

    async def work(*_: object) -> int:
        return 1 // 0

    def make(_: object) -> Any:
        return make_client(make_server())

    assert await with_client(make, work, screen.terminal, "awaitbatch wait") == ExitCode.AWS
    assert "report it as a bug" in screen.err[0]
    assert screen.err[-1].startswith("ZeroDivisionError")


def test_options_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The region comes from the option, or from the variable that aws knows and botocore does not."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    arguments = arguments_of("wait", "a", "--max-calls-per-second", "3", "--endpoint-url", "http://x")
    config = client_of(arguments, print)._config
    assert (config.region_name, config.endpoint_url) == ("eu-west-1", "http://x")
    assert config.max_calls_per_second == 3
    arguments = arguments_of("wait", "a", "--region", "us-west-2")
    assert client_of(arguments, print)._config.region_name == "us-west-2"


@pytest.mark.parametrize(
    ("color", "variables", "tty", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
    ],
)
def test_colours(
    color: Color, variables: dict[str, str], tty: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option outranks the variables, and these the terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    stream = Screen(is_terminal=tty).terminal.out
    terminal = Terminal(color, out=stream, err=stream)
    assert terminal.has_color(stream) is expected
    assert terminal.paint("x", "red") == ("\x1b[31mx\x1b[0m" if expected else "x")


def test_a_stream_that_is_closed() -> None:
    """It is no terminal."""
    stream = io.StringIO()
    stream.close()
    assert not is_terminal(stream)


@pytest.mark.virtual_time
async def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without rich gets lines, and one hint how to get the picture."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "find_spec", lambda _: None)
    server, screen = make_server(), Screen(is_terminal=True)
    assert await run(server, screen, "wait", server.add_job("a", life_cycle=ENDED)) == ExitCode.DONE
    assert screen.err[0] == 'for a live picture: pip install "awaitbatch[cli]"'
    assert screen.told[1].startswith("waiting for 1 job")


@pytest.mark.virtual_time
async def test_lines_beside_a_live_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed on the same terminal meanwhile comes above the picture, and the last picture stays."""
    monkeypatch.setenv("TERM", "xterm")
    server, screen = make_server(), Screen(is_terminal=True)
    assert await run(server, screen, "wait", server.add_job("a", life_cycle=ENDED), "--json") == ExitCode.DONE
    assert screen.out == []
    shown = "\n".join(screen.err)
    assert '{"jobId":"a"' in shown
    assert "1 job, 1 ended" in "".join(screen.err[-4:])


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ([], ["AWS throttles DescribeJobs"]),
        (["-v"], ["AWS throttles DescribeJobs", "AWS Batch has answered"]),
        (
            ["-vv"],
            [
                "AWS throttles DescribeJobs",
                "AWS Batch has answered",
                "AWS Batch job (a) is RUNNING",
                "refused",
            ],
        ),
    ],
    ids=str,
)
def test_what_the_library_logs(option: list[str], expected: list[str]) -> None:
    """Warnings are always shown, more with -v, and with -vv also what the command says itself."""
    screen = Screen()
    handler = LogLines(screen.terminal, arguments_of("wait", "a", *option))
    log = logging.getLogger("awaitbatch.test_of_cli")
    log.propagate = False
    log.addHandler(handler)
    log.setLevel(handler.lowest_level)
    log.warning("AWS throttles %s", "DescribeJobs")
    log.info("AWS Batch has answered")
    log.info("AWS Batch job (%s) is RUNNING", "a", extra={"previous": None})
    log.warning("refused", extra={"outcome": "permanent"})
    log.removeHandler(handler)
    assert screen.err == [f"awaitbatch wait: {line}" for line in expected]


def test_what_is_logged_and_no_news_in_a_shell() -> None:
    """A line does not name hundreds of jobs, and after Ctrl-C the farewell says what was given up."""
    screen = Screen()
    handler = LogLines(screen.terminal, arguments_of("terminate", "a"))
    record = logging.LogRecord("awaitbatch", logging.WARNING, "", 0, "jobs: %s", ("x" * 1000,), None)
    handler.emit(record)
    screen.terminal.is_stopping = True
    handler.emit(record)
    [line] = screen.err
    assert len(line) == len("awaitbatch terminate: ") + 400
    verbose = LogLines(screen.terminal, arguments_of("terminate", "a", "-vv"))
    verbose.emit(record)
    assert screen.err[-1].endswith("x" * 1000)


@pytest.mark.parametrize(
    ("words", "pending", "expected"),
    [
        (
            ["wait", "a", "b", "--region", "eu-west-1"],
            ["b"],
            [
                "1 job goes on.",
                "  Again: awaitbatch wait a b --region eu-west-1",
                "  End it: awaitbatch terminate b --region eu-west-1",
            ],
        ),
        (
            ["wait", "-q", "reads", "--name", "align-*"],
            [*"abcd"],
            [
                "4 jobs go on.",
                "  Again: awaitbatch wait -q reads --name 'align-*'",
                "  End them: awaitbatch list -q reads --name 'align-*' --ids | awaitbatch terminate -",
            ],
        ),
        (["wait", "-q", "reads"], [*"abcd"], ["4 jobs go on.", "  Again: awaitbatch wait -q reads"]),
        (
            ["wait", "-", "--any"],
            ["a", "b"],
            ["2 jobs go on.", "  Again: awaitbatch wait a b --any", "  End them: awaitbatch terminate a b"],
        ),
        (["wait", "-"], [*"abcd"], ["4 jobs go on."]),
        (["wait", *(["a" * 100] * 5)], [*"abcd"], ["4 jobs go on."]),
    ],
)
def test_how_to_go_on(words: list[str], pending: list[str], expected: list[str]) -> None:
    """Commands that can be copied, but no endless ones, and none that ends everybody's jobs."""
    assert go_on(arguments_of(*words), pending).splitlines() == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("30s", 30), ("1.5h", 5400), ("1d12h", 129_600), ("2m30s", 150)]
)
def test_durations(text: str, seconds: float) -> None:
    """A number alone is seconds, and units can be put together."""
    assert duration(text) == seconds


async def test_the_reader_of_a_pipe_goes() -> None:
    """It ends when nobody reads any more, without a word, even if there would be nothing to print for long."""
    async with BatchServer() as server:
        server.add_job("a", life_cycle=LONG)
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "awaitbatch",
                "watch",
                "a",
                "--json",
                "--endpoint-url",
                server.endpoint_url,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "key",
                "AWS_REGION": "us-east-1",
            },
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"status":"RUNNING"' in await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        try:
            async with asyncio.timeout(30):
                assert await process.stderr.read() == b""
                assert await process.wait() == ExitCode.PIPE_CLOSED
        finally:
            if process.returncode is None:
                process.kill()


def test_without_a_region(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region it ends with a sentence, and not with a traceback."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert main(["wait", "a"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "awaitbatch wait: there is no AWS region: give --region, or set AWS_REGION, or name one in the profile\n"
    )
