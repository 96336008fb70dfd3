"""What somebody sees who does not know the command, or whose account is not set up: what is wrong, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from awaitbatch.cli import _session, main
from awaitbatch.cli._exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

ID = "c37cfe45-0c1f-4d2e-9a6b-2f1f0f7d7a11"
COMMANDS = {
    "wait": ["wait", ID, "--progress", "none"],
    "watch": ["watch", ID],
    "list": ["list", "-q", "reads"],
    "describe": ["describe", ID],
    "terminate": ["terminate", ID],
}

every_command = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")


def said(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error of a command that ends with that exit code, and has no results."""
    try:
        ended = main(words)
    except SystemExit as end:
        ended = int(end.code or 0)
    shown = capsys.readouterr()
    assert (ended, shown.out) == (code, "")
    assert "Traceback" not in shown.err
    return shown.err.splitlines()


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Who gives no command sees which there are, each in a line, and where there is more."""
    lines = said([], ExitCode.USAGE, capsys)
    for command in (*COMMANDS, "demo"):
        assert [line for line in lines if line.startswith(f"    {command} ") and len(line) > 20]
    assert lines[-1] == "awaitbatch COMMAND --help tells more, such as the exit codes."


@every_command
def test_no_jobs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who names no jobs is told how to."""
    [line] = said([command], ExitCode.USAGE, capsys)
    assert "jobs? Give " in line


@pytest.mark.parametrize(
    ("words", "prog", "complaint"),
    [
        (["wait", ID, "--timeot", "1h"], "awaitbatch wait", "--timeot 1h (did you mean --timeout?)"),
        (
            ["list", "-q", "a", "--stauts=FAILED"],
            "awaitbatch list",
            "--stauts=FAILED (did you mean --status?)",
        ),
        (["describe", ID, "-z"], "awaitbatch describe", "-z"),
        (["--versoin"], "awaitbatch", "--versoin (did you mean --version?)"),
    ],
)
def test_a_typo(words: list[str], prog: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt option is named in a line, with the one that was perhaps meant."""
    [line] = said(words, ExitCode.USAGE, capsys)
    assert line == f"{prog}: unrecognized arguments: {complaint}; see {prog} --help"


def test_a_misspelt_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that there is not is named, with those that there are."""
    [line] = said(["wiat", ID], ExitCode.USAGE, capsys)
    assert line.startswith("awaitbatch: argument COMMAND: invalid choice: 'wiat' (choose from ")


@every_command
def test_no_region(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region, it says how to give one."""
    monkeypatch.delenv("AWS_REGION")
    [line] = said(COMMANDS[command], ExitCode.USAGE, capsys)
    assert line.startswith(f"awaitbatch {command}: there is no AWS region: give --region, or set AWS_REGION")


@every_command
def test_a_wrong_region(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be a region is a usage error."""
    [line] = said([*COMMANDS[command], "--region", "us east"], ExitCode.USAGE, capsys)
    assert line == (
        f"awaitbatch {command}: Provided region_name 'us east' doesn't match a supported format; "
        "check --region, AWS_REGION or the profile"
    )


def test_a_wrong_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """A profile that is not there is named, and how to see which are."""
    [line] = said([*COMMANDS["list"], "--profile", "nobody"], ExitCode.USAGE, capsys)
    assert line.startswith(
        "awaitbatch list: The config profile (nobody) could not be found; `aws configure list-"
    )


def test_a_broken_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration file that cannot be read is named."""
    file = tmp_path / "config"
    file.write_text("[default\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    [line] = said(COMMANDS["list"], ExitCode.USAGE, capsys)
    assert str(file) in line
    assert line.endswith("; correct the AWS configuration file")


@every_command
def test_no_credentials(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials, it says so once, and what to do."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    line, *more = said(COMMANDS[command], ExitCode.AWS, capsys)
    assert line.startswith(f"awaitbatch {command}: ")
    assert line.endswith("Unable to locate credentials; configure credentials as for boto3, or log in again")
    assert more == (["0 of 1 job terminated, 1 not accepted"] if command == "terminate" else [])


def test_nobody_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, it says so, and what to check."""
    monkeypatch.setattr(_session, "PATIENCE", 1)
    words = [*COMMANDS["describe"], "--endpoint-url", "http://127.0.0.1:9"]
    line = said(words, ExitCode.AWS, capsys)[-1]
    # It may still be opening on a busy machine, and then it does not know where its calls go.
    assert line.startswith(
        ("awaitbatch describe: http://127.0.0.1:9 has given", "awaitbatch describe: AWS Batch has given")
    )
    assert " no good answer within 1 s" in line
    assert line.endswith("; check the network, --region and --endpoint-url")


def test_an_endpoint_that_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no URL is a usage error, also where it is not an option."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", "localhost:1")
    assert said(COMMANDS["list"], ExitCode.USAGE, capsys) == [
        "awaitbatch list: Invalid endpoint: localhost:1; check --endpoint-url"
    ]
