"""FailureKind is told without flooding the log."""

from __future__ import annotations

import pytest

from awaitbatch.instrumentation._incidents import Incident, Line


@pytest.fixture
def episode() -> Incident:
    """FailureKind that is over when things went well five seconds after the last event."""
    return Incident(recovery=5)


def test_the_first_event_is_told(episode: Incident) -> None:
    """The first event is worth a line, and the next ones are not."""
    assert episode.occurred(100) is Line.BEGIN
    assert episode.occurred(100) is None
    assert episode.occurred(159.9) is None
    assert (episode.count, episode.began) == (3, 100)


def test_one_summary_a_minute(episode: Incident) -> None:
    """An episode that goes on gets one line a minute at most, however many events there are."""
    lines = [episode.occurred(moment / 10) for moment in range(3000)]
    assert [place / 10 for place, line in enumerate(lines) if line] == [0, 60, 120, 180, 240]
    assert [line for line in lines if line] == [Line.BEGIN, *[Line.SUMMARY] * 4]
    assert episode.count == 3000


def test_a_summary_counts_from_the_last_line(episode: Incident) -> None:
    """After a summary that came late the next one is a whole minute away."""
    episode.occurred(0)
    assert episode.occurred(100) is Line.SUMMARY
    assert episode.occurred(159) is None
    assert episode.occurred(160) is Line.SUMMARY


def test_it_is_over_when_things_go_well_again(episode: Incident) -> None:
    """It is over, once, when things go well some seconds after the last event, however short it was."""
    episode.occurred(0)
    episode.occurred(20)
    assert episode.went_well(20.1) is None
    assert episode.went_well(24.9) is None
    assert episode.went_well(25) is Line.END
    assert episode.count == 2
    assert episode.went_well(26) is None


def test_things_that_go_well_in_between_do_not_end_it(episode: Incident) -> None:
    """While one call in two fails it goes on, and is told once a minute, with all of its events."""
    lines = []
    for second in range(121):
        lines += [episode.occurred(second), episode.went_well(second + 0.5)]
    assert [line for line in lines if line] == [Line.BEGIN, Line.SUMMARY, Line.SUMMARY]
    assert (episode.count, episode.began) == (121, 0)


def test_an_event_after_long_quiet_begins_anew(episode: Incident) -> None:
    """Things went well at last, if too early to be told; an hour later it is new trouble, not the old."""
    episode.occurred(0)
    assert episode.went_well(2) is None
    assert episode.occurred(3602) is Line.BEGIN
    assert (episode.count, episode.began) == (1, 3602)


def test_silence_is_no_sign_that_things_go_well(episode: Incident) -> None:
    """When calls are an hour apart and all fail, it is the same trouble."""
    episode.occurred(0)
    assert episode.occurred(3600) is Line.SUMMARY
    assert episode.count == 2


def test_what_comes_and_goes_is_told_once_a_minute(episode: Incident) -> None:
    """FailureKind of a second every ten seconds begins at most once a minute, and ends no more often than it begins."""
    lines: list[tuple[int, Line | None]] = []
    for second in range(0, 180, 10):
        lines += [(second, episode.occurred(second)), (second + 9, episode.went_well(second + 9))]
    assert [(second, line) for second, line in lines if line] == [
        (second, line)
        for begin in (0, 60, 120)
        for second, line in ((begin, Line.BEGIN), (begin + 9, Line.END))
    ]


def test_new_trouble_that_lasts_is_told_late(episode: Incident) -> None:
    """What begins within a minute of the last line, and lasts, is told when the minute is over."""
    episode.occurred(0)
    assert episode.went_well(10) is Line.END
    assert episode.occurred(30) is None
    assert episode.occurred(59) is None
    assert episode.occurred(60) is Line.BEGIN
    assert (episode.count, episode.began) == (3, 30)
    assert episode.went_well(70) is Line.END


def test_what_was_not_told_does_not_end(episode: Incident) -> None:
    """FailureKind that nobody heard of is over without a line, as is none at all."""
    assert episode.went_well(0) is None
    episode.occurred(10)
    episode.went_well(20)
    episode.occurred(30)
    assert episode.went_well(40) is None
