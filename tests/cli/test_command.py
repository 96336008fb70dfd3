"""What the command takes, what it refuses, and how it says so."""

from __future__ import annotations

import sys

import pytest

from awaitbatch.cli import main
from tests.imports import HEAVY, imported_by


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--jobs", "0"], "--jobs: must be a whole number of at least 1, not '0'"),
        (["demo", "--jobs", "-5"], "--jobs: must be a whole number of at least 1, not '-5'"),
        (["demo", "--jobs", "1.5"], "--jobs: must be a whole number of at least 1, not '1.5'"),
        (["demo", "--jobs", "many"], "--jobs: must be a whole number of at least 1, not 'many'"),
        (["demo", "--server", "aws"], "--server: invalid choice: 'aws'"),
        (["demo", "--seconds", "30:5"], "--seconds: must be LOW:HIGH with 0 <= LOW <= HIGH, not '30:5'"),
        (["demo", "--seconds", "5:"], "--seconds: not a number: ''"),
        (["demo", "--seconds", "inf"], "--seconds: not a number: 'inf'"),
        (["demo", "--failing", "8"], "--failing: must be between 0 and 1, not '8'"),
        (["demo", "--interval", "0"], "--interval: must be more than 0, not '0'"),
        (["demo", "--max-calls-per-second", "nan"], "--max-calls-per-second: not a number: 'nan'"),
        (["demo", "--seed", "x"], "--seed: invalid int value: 'x'"),
        (["show"], "invalid choice: 'show'"),
    ],
)
def test_refuses(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad value is refused with a message that names the option and the value."""
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    assert complaint in capsys.readouterr().err


def test_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Who gives no command is shown which there are."""
    assert main([]) == 2
    assert "watch a thousand jobs being awaited" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version names the package and ends well."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert not end.value.code
    assert capsys.readouterr().out.startswith("awaitbatch ")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_quick_answers(option: str) -> None:
    """Neither --version nor --help waits for a package that only the demo needs."""
    imported = imported_by("-m", "awaitbatch", option)
    assert {"argparse", "awaitbatch"} <= imported
    assert not imported & HEAVY


def test_help_names_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """--help says what happens without options, and what the exit codes mean."""
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    text = capsys.readouterr().out
    for part in ("(1000)", "(moto)", "(5:30)", "exit codes"):
        assert part in text


@pytest.mark.parametrize(("server", "module"), [("moto", "moto"), ("moto", "flask"), ("builtin", "rich")])
def test_names_the_extra_to_install(
    server: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a package that the demo needs, it names that and how to get it."""
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo", "--server", server]) == 1
    message = capsys.readouterr().err
    assert message == f'awaitbatch demo: {module} not installed; try: pip install "awaitbatch[demo]"\n'
