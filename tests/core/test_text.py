"""Text that somebody else wrote, as it is shown."""

from __future__ import annotations

import pytest

from awaitbatch._core.text import MOST_CHARACTERS, error_line, first_line, message_of, one_line, quantity


@pytest.mark.parametrize(
    "text", ["", "Too Many Requests", "größer 😀", 'with "quotes"', "https://host/a@b", "http://host:80/a@b"]
)
def test_one_line_leaves_text_alone(text: str) -> None:
    """What is one line already stays as it is."""
    assert one_line(text) == text


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r", "\x1b[31m", "a\u2028b", "a\u0085b", "\x00", "\u202eabc", "\u2066a"]
)
def test_one_line_defuses(text: str) -> None:
    """Line breaks, control sequences and text that runs backwards are shown, not obeyed."""
    assert one_line(text).isprintable()
    assert one_line(text) == repr(text)


def test_one_line_is_not_long() -> None:
    """Whoever answers with a book does not fill the log."""
    assert one_line("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert one_line("x" * 1_000_000) == "x" * MOST_CHARACTERS + "…"


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@proxy:3128/",
        "HTTPS://secret@host",
        "//secret:@host?x=y",
        "http://me:pa/secret/ss@host:1/path",
        "http://me:/secret@host",
    ],
)
def test_one_line_hides_passwords(url: str) -> None:
    """Name and password in a URL are left out."""
    shown = one_line(f'Could not connect to "{url}"')
    assert "secret" not in shown
    assert "//***@" in shown


def test_first_line() -> None:
    """Of a text of many lines the first that says something is taken."""
    assert first_line("\n  a b \r\nc") == "a b"
    assert first_line("a\u2028b") == "a"
    assert first_line(" \n ") == ""


def test_message_of_an_error() -> None:
    """An error is shown by its first line, by its class if it says nothing, and by both where the class matters."""
    assert message_of(ValueError("a\nb")) == "a"
    assert message_of(TimeoutError()) == "TimeoutError"
    assert error_line(ValueError("a\x1b\nb")) == r"ValueError: 'a\x1b'"
    assert error_line(TimeoutError()) == "TimeoutError"


def test_an_error_that_cannot_be_shown() -> None:
    """An error whose text raises is shown by its class."""

    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    assert error_line(Mute()) == message_of(Mute()) == "Mute"


def test_quantity() -> None:
    """One is not many."""
    assert [quantity(number, "try", "tries") for number in (0, 1, 2)] == ["0 tries", "1 try", "2 tries"]
