"""Connections: each kind of call always gets some of them."""

from __future__ import annotations

from collections import Counter, deque
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awaitbatch._core.connections import DESCRIBES_KEEP, OTHERS_KEEP, Connections, Use


def taken(connections: Connections, use: Use, most: int = 1000) -> int:
    """Take as many connections as there are for a kind of call, and count them."""
    count = 0
    while count < most and connections.has_room(use):
        connections.take(use)
        count += 1
    return count


@pytest.mark.parametrize(
    ("size", "submits", "describes", "others"), [(50, 25, 8, 2), (10, 5, 3, 2), (4, 2, 1, 1), (1, 1, 0, 0)]
)
def test_submissions_leave_room(size: int, submits: int, describes: int, others: int) -> None:
    """They take at most half, and whatever comes then finds what is kept for it."""
    connections = Connections(size)
    assert taken(connections, Use.SUBMIT) == submits
    assert taken(connections, Use.DESCRIBE) >= describes
    assert taken(connections, Use.OTHER) >= others


@pytest.mark.parametrize(("size", "describes"), [(50, 48), (10, 8), (8, 6), (3, 3), (2, 2), (1, 1)])
def test_describes_take_what_nobody_else_needs(size: int, describes: int) -> None:
    """All connections but those that are kept for other operations."""
    connections = Connections(size)
    assert taken(connections, Use.DESCRIBE) == describes
    assert taken(connections, Use.OTHER) == size - describes


def test_the_kept_ones() -> None:
    """In a pool that is large enough each kind finds what its constant says, even if the others want all."""
    for greedy in Use:
        connections = Connections(50)
        for use in Use:
            if use is not greedy:
                taken(connections, use)
                for _ in range(1000):
                    connections.give_back(use) if connections._taken[use] else None
        assert taken(connections, greedy) <= 50
        assert greedy is Use.DESCRIBE or taken(connections, Use.DESCRIBE) >= DESCRIBES_KEEP
        assert greedy is Use.OTHER or taken(connections, Use.OTHER) >= OTHERS_KEEP


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10])
def test_all_take_turns(size: int) -> None:
    """However few there are, and however much every kind of call has to do, none waits for ever."""
    connections = Connections(size)
    under_way = deque[Use]()

    def begin(use: Use) -> None:
        while connections.has_room(use):
            connections.take(use)
            under_way.append(use)

    for use in Use:
        connections.listen(use, partial(begin, use))
    for use in Use:
        begin(use)
    ended = Counter[Use]()
    for _ in range(100 * size):
        use = under_way.popleft()
        ended[use] += 1
        connections.give_back(use)
        # Others were told first.
        begin(use)
    assert min(ended[use] for use in Use) >= 20


def test_who_waits_is_told() -> None:
    """When a call of another kind gives back its connection; calls of one's own kind know themselves."""
    connections = Connections(2)
    heard: list[str] = []
    connections.listen(Use.SUBMIT, lambda: heard.append("submit"))
    connections.listen(Use.DESCRIBE, lambda: heard.append("describe"))
    connections.take(Use.SUBMIT)
    connections.give_back(Use.SUBMIT)
    assert heard == ["describe"]
    assert (
        repr(connections)
        == "<Connections 2, taken: 0 by describe, 0 by submit, 0 by other, 0 by list, 0 by resource>"
    )


@given(st.integers(1, 60), st.lists(st.tuples(st.sampled_from(Use), st.booleans()), max_size=200))
def test_never_more_than_there_are(size: int, steps: list[tuple[Use, bool]]) -> None:
    """Whatever comes and goes, no more connections are taken than there are, and an idle pool has room for all."""
    connections = Connections(size)
    counts = dict.fromkeys(Use, 0)
    for use, comes in steps:
        if comes and connections.has_room(use):
            connections.take(use)
            counts[use] += 1
        elif not comes and counts[use]:
            connections.give_back(use)
            counts[use] -= 1
        assert sum(counts.values()) <= size
        assert counts[Use.SUBMIT] <= max(1, size // 2)
    for use in Use:
        for _ in range(counts[use]):
            connections.give_back(use)
    assert all(connections.has_room(use) for use in Use)


def test_a_connection_is_held_for_one_kind() -> None:
    """Nobody else gets it until it is taken or let go, of which the others hear."""
    connections, heard = Connections(2), []
    connections.listen(Use.SUBMIT, lambda: heard.append("submit"))
    connections.take(Use.OTHER)
    connections.hold(Use.DESCRIBE)
    assert [use for use in Use if connections.has_room(use)] == [Use.DESCRIBE]
    connections.let_go(Use.DESCRIBE)
    assert heard == ["submit"]
    assert all(connections.has_room(use) for use in Use)
    connections.let_go(Use.DESCRIBE)
    assert heard == ["submit"]
    connections.hold(Use.DESCRIBE)
    connections.take(Use.DESCRIBE)
    connections.give_back(Use.DESCRIBE)
    assert all(connections.has_room(use) for use in Use)


def test_a_pause_is_for_all() -> None:
    """Meanwhile nobody may take one, even if all are free; when it is over everybody is told, once."""
    connections = Connections(10)
    told: list[Use] = []
    for use in Use:
        connections.listen(use, lambda use=use: told.append(use))  # type: ignore[misc]
    connections.resume()
    assert told == []
    for _ in range(2):
        connections.pause()
    assert not any(map(connections.has_room, Use))
    connections.resume()
    assert all(map(connections.has_room, Use))
    assert told == list(Use)
