"""Failures are logged without flooding the log."""

from __future__ import annotations

import pytest

from awaitbatch.instrumentation._incidents import Incident, Line


@pytest.fixture
def incident() -> Incident:
    """Failures that are over when things went well five seconds after the last event."""
    return Incident(recovery=5)


def test_the_first_event_has_a_line(incident: Incident) -> None:
    """The first event is worth a line, and the next ones are not."""
    assert incident.occurred(100) is Line.BEGIN
    assert incident.occurred(100) is None
    assert incident.occurred(159.9) is None
    assert (incident.count, incident.began) == (3, 100)


def test_one_summary_a_minute(incident: Incident) -> None:
    """An incident that goes on gets one line a minute at most, however many events there are."""
    lines = [incident.occurred(moment / 10) for moment in range(3000)]
    assert [place / 10 for place, line in enumerate(lines) if line] == [0, 60, 120, 180, 240]
    assert [line for line in lines if line] == [Line.BEGIN, *[Line.SUMMARY] * 4]
    assert incident.count == 3000


def test_a_summary_counts_from_the_last_line(incident: Incident) -> None:
    """After a summary that came late the next one is a whole minute away."""
    incident.occurred(0)
    assert incident.occurred(100) is Line.SUMMARY
    assert incident.occurred(159) is None
    assert incident.occurred(160) is Line.SUMMARY


def test_it_is_over_when_things_go_well_again(incident: Incident) -> None:
    """It is over, once, when things go well some seconds after the last event, however short it was."""
    incident.occurred(0)
    incident.occurred(20)
    assert incident.went_well(20.1) is None
    assert incident.went_well(24.9) is None
    assert incident.went_well(25) is Line.END
    assert incident.count == 2
    assert incident.went_well(26) is None


def test_things_that_go_well_in_between_do_not_end_it(incident: Incident) -> None:
    """While one call in two fails it goes on, with a line a minute that counts all of its events."""
    lines = []
    for second in range(121):
        lines += [incident.occurred(second), incident.went_well(second + 0.5)]
    assert [line for line in lines if line] == [Line.BEGIN, Line.SUMMARY, Line.SUMMARY]
    assert (incident.count, incident.began) == (121, 0)


def test_an_event_after_long_quiet_begins_anew(incident: Incident) -> None:
    """Things went well at last, if too early for a line; an hour later it is another incident."""
    incident.occurred(0)
    assert incident.went_well(2) is None
    assert incident.occurred(3602) is Line.BEGIN
    assert (incident.count, incident.began) == (1, 3602)


def test_silence_is_no_sign_that_things_go_well(incident: Incident) -> None:
    """When calls are an hour apart and all fail, it is the same incident."""
    incident.occurred(0)
    assert incident.occurred(3600) is Line.SUMMARY
    assert incident.count == 2


def test_what_comes_and_goes_has_a_line_a_minute(incident: Incident) -> None:
    """An incident of a second every ten seconds begins at most once a minute, and ends no more often than it begins."""
    lines: list[tuple[int, Line | None]] = []
    for second in range(0, 180, 10):
        lines += [(second, incident.occurred(second)), (second + 9, incident.went_well(second + 9))]
    assert [(second, line) for second, line in lines if line] == [
        (second, line)
        for begin in (0, 60, 120)
        for second, line in ((begin, Line.BEGIN), (begin + 9, Line.END))
    ]


def test_a_new_incident_that_lasts_has_its_line_late(incident: Incident) -> None:
    """What begins within a minute of the last line, and lasts, has its line when the minute is over."""
    incident.occurred(0)
    assert incident.went_well(10) is Line.END
    assert incident.occurred(30) is None
    assert incident.occurred(59) is None
    assert incident.occurred(60) is Line.BEGIN
    assert (incident.count, incident.began) == (3, 30)
    assert incident.went_well(70) is Line.END


def test_what_had_no_line_ends_without_one(incident: Incident) -> None:
    """What had no line at its beginning is over without a line, as is none at all."""
    assert incident.went_well(0) is None
    incident.occurred(10)
    incident.went_well(20)
    incident.occurred(30)
    assert incident.went_well(40) is None


def test_what_does_not_count(incident: Incident) -> None:
    """A sign that it goes on may begin it, and have a line, without being counted."""
    assert incident.occurred(100, counts=False) is Line.BEGIN
    assert incident.occurred(110) is None
    assert incident.occurred(160, counts=False) is Line.SUMMARY
    assert (incident.count, incident.began) == (1, 100)
    assert incident.went_well(165) is Line.END
