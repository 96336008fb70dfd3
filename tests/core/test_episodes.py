"""Trouble is told without flooding the log."""

from __future__ import annotations

from awaitbatch._core.episodes import Episode, Line


def test_the_first_event_is_told() -> None:
    """The first event is worth a line, and the next ones are not."""
    episode = Episode()
    assert episode.event(100) is Line.BEGIN
    assert episode.event(100) is None
    assert episode.event(159.9) is None
    assert (episode.count, episode.began) == (3, 100)


def test_one_summary_a_minute() -> None:
    """An episode that goes on gets one line a minute at most, however many events there are."""
    episode = Episode()
    lines = [episode.event(moment / 10) for moment in range(3000)]
    assert [place / 10 for place, line in enumerate(lines) if line] == [0, 60, 120, 180, 240]
    assert [line for line in lines if line] == [Line.BEGIN, *[Line.SUMMARY] * 4]
    assert episode.count == 3000


def test_a_summary_counts_from_the_last_line() -> None:
    """After a summary that came late the next one is a whole minute away."""
    episode = Episode()
    episode.event(0)
    assert episode.event(100) is Line.SUMMARY
    assert episode.event(159) is None
    assert episode.event(160) is Line.SUMMARY


def test_it_ends_after_a_quiet_minute() -> None:
    """An episode is over a minute after its last event, not its first."""
    episode = Episode()
    episode.event(0)
    episode.event(50)
    assert episode.quiet(51) is None
    assert episode.quiet(109.9) is None
    assert episode.quiet(110) is Line.END


def test_an_event_keeps_it_going() -> None:
    """Quiet that is broken before a minute is over ends nothing."""
    episode = Episode()
    episode.event(0)
    for moment in range(50, 500, 50):
        assert episode.quiet(moment - 1) is None
        episode.event(moment)
    assert episode.quiet(459) is None
    assert episode.quiet(510) is Line.END


def test_quiet_without_an_event_is_no_news() -> None:
    """Nothing that never began can end."""
    assert Episode().quiet(1e9) is None
