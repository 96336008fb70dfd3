"""What the commands refuse before anything is imported or sent, and what their help says."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest

from awaitbatch.cli import main
from tests.imports import HEAVY, imported_by

_PROBE = """
import sys
from awaitbatch.cli import main
sys.argv[1:] = {words!r}
try:
    code = main()
except SystemExit as end:
    code = end.code
print(code, *sorted({heavy!r} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["wait"], "awaitbatch wait: which jobs? Give their ids, or - to read these from standard input"),
        (["watch"], "awaitbatch watch: which jobs?"),
        (["wait", "a", "-q", "reads"], "awaitbatch wait: give job ids or a queue, not both"),
        (["wait", "a", "--name", "x*"], "--name chooses among the jobs of a queue; give one with -q"),
        (["wait", "a", "--since", "1h"], "--since chooses among the jobs of a queue"),
        (["wait", "good", "b d"], "awaitbatch wait: not an AWS Batch job id: 'b d'"),
        (["wait", "a", "b", "--exit-code", "job"], "--exit-code job is for a single job"),
        (["wait", "-q", "reads", "--exit-code", "job"], "--exit-code job is for a single job"),
    ],
)
def test_refuses(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What makes no sense is said in a sentence, and is a usage error."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["wait", "a", "--timeout", "soon"],
            "--timeout: must be a time such as 30s, 10m, 6h or 1d, not 'soon'",
        ),
        (["wait", "a", "--timeout", "-1"], "--timeout"),
        (["wait", "a", "--interval", "0"], "--interval: must be a time such as"),
        (["wait", "a", "--for", "ever"], "--for: invalid choice: 'ever'"),
        (["wait", "a", "--timeot", "1h"], "unrecognized arguments: --timeot"),
        (["wait", "a", "--fail"], "unrecognized arguments: --fail"),
        (["wait", "a", "--max-calls-per-second", "0"], "--max-calls-per-second: must be more than 0"),
        (["wait", "-q", ""], "argument -q/--queue: must not be empty; is a variable not set?"),
        (["list", "-q", " "], "argument -q/--queue: must not be empty"),
        (["watch", "-q", "reads", "--name", ""], "argument --name: must not be empty"),
        (["list", "-q", "reads", "--name", ""], "argument --name: must not be empty"),
        *(
            (
                ["describe", "a", "--endpoint-url", url],
                f"must be an address such as http://127.0.0.1:4566, not '{url}'",
            )
            for url in ("", "localhost:4566", "ftp://x", "http://", "http://x:99999", "http://x:y")
        ),
        (["describe", "a", "--endpoint-url", "ftp://me:secret@x"], "not 'ftp://***@x'"),
    ],
)
def test_refuses_options(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that makes no sense is named, and no abbreviation is guessed."""
    with pytest.raises(SystemExit) as refusal:
        main(words)
    assert refusal.value.code == 2
    assert complaint in capsys.readouterr().err


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "words",
    [["wait"], ["demo", "--jobs", "1", "--server", "builtin", "--seconds", "0"]],
    ids=["wait", "demo"],
)
def test_complaints_that_cannot_be_written(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full disk a command ends without a traceback, and as it would have."""
    is_demo = words[0] == "demo"
    monkeypatch.setattr(sys, "stdout" if is_demo else "stderr", Full())
    assert main(words) == (1 if is_demo else 2)
    assert capsys.readouterr().err == (
        "awaitbatch demo: [Errno 28] No space left on device\n" if is_demo else ""
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["wait", "--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["wait"], 2),
        (["wait", "b d"], 2),
        (["watch", "--nonsense"], 2),
    ],
    ids=str,
)
def test_nobody_waits_for_what_is_not_needed(words: list[str], code: int) -> None:
    """Help, the version and usage errors come without importing any of the packages."""
    program = _PROBE.format(words=words, heavy=set(HEAVY))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(code)


def test_no_command_imports_rich_to_wait_without_a_picture() -> None:
    """Who draws no picture does not wait for what draws them."""
    assert "rich" not in imported_by("-c", "from awaitbatch.cli import _session, _wait, _watch")


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command has examples and the exit codes, and every option says what it does."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    for part in ("examples:", "exit codes:", "--endpoint-url", "--json", f"awaitbatch {command} -q reads"):
        assert part in text


def test_help_in_ascii() -> None:
    """Where nothing but ASCII can be printed, the help comes all the same."""
    done = subprocess.run(
        [sys.executable, "-m", "awaitbatch", "wait", "--help"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"exit codes:" in done.stdout


def test_ids_from_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command before it that failed leaves nothing on the pipe, which must not look like success."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["wait", "-"]) == 2
    assert "did the command before it fail?" in capsys.readouterr().err


def test_ctrl_c_while_ids_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it without a traceback also while it reads."""

    class Stdin(io.StringIO):
        def read(self, _: int | None = -1) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Stdin())
    assert main(["wait", "-"]) == 130


def test_ctrl_c_before_anything_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that comes while the command is still being made ends it likewise."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("awaitbatch.cli._command.make_parser", interrupt)
    assert main(["wait", "a"]) == 130
