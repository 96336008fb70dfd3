"""Which calls may take the connections of a pool, so that those of one kind never keep another kind from theirs."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIBES_KEEP: Final = 8
"""Connections that DescribeJobs can always have, if the pool is large enough."""
OTHERS_KEEP: Final = 2
"""Connections that calls which terminate or cancel jobs can always have, likewise."""


class Use(IntEnum):
    """What a connection is taken for."""

    DESCRIBE = 0
    SUBMIT = 1
    OTHER = 2
    LIST = 3
    RESOURCE = 4


class Connections:
    """The connections of a pool, of which each kind of call can always have some, and may take what others leave.

    Submissions come by the thousand, and take at most half; lists, and describes of what is no job, a quarter each. Who
    has taken none for longest is the first to be told when one becomes free.

    Args:
        size: How many connections there are.
    """

    def __init__(self, size: int = 1) -> None:
        self._taken = [0] * len(Use)
        self._held = [0] * len(Use)
        self._listeners: list[tuple[Use, Callable[[], None]]] = []
        self._is_paused = False
        self.resize(size)

    def __repr__(self) -> str:
        taken = ", ".join(f"{self._taken[use]} by {use.name.lower()}" for use in Use)
        return f"<Connections {self._size}, taken: {taken}>"

    def resize(self, size: int) -> None:
        """From now on there are so many connections, at least one."""
        self._size = max(1, size)
        quarter = max(1, size // 4)
        self._least = (min(DESCRIBES_KEEP, size // 3), 0, min(OTHERS_KEEP, size // 4), 0, 0)
        self._most = (self._size, max(1, size // 2), self._size, quarter, quarter)

    def has_room(self, use: Use) -> bool:
        """Whether a call of this kind may take one."""
        if self._is_paused or self._taken[use] >= self._most[use]:
            return False
        spoken_for = 0
        for other in range(len(self._taken)):
            taken = self._taken[other]
            if other != use:
                taken = max(taken + self._held[other], self._least[other])
            spoken_for += taken
        return spoken_for < self._size

    def pause(self) -> None:
        """Let nobody take one until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Let them be taken again, and tell all who wait for one."""
        if self._is_paused:
            self._is_paused = False
            for _, hear in tuple(self._listeners):
                hear()

    def hold(self, use: Use) -> None:
        """Leave a connection that is free now, or becomes so, to a call of this kind, which will soon take it."""
        self._held[use] = 1

    def let_go(self, use: Use) -> None:
        """It will not be taken after all, so others may have it."""
        if self._held[use]:
            self._held[use] = 0
            self._tell_others(use)

    def take(self, use: Use) -> None:
        """A call of this kind takes one."""
        self._taken[use] += 1
        self._held[use] = 0
        # The others are told before it of the next that becomes free; of a small pool some would never get one.
        self._listeners.sort(key=lambda listener: listener[0] == use)

    def give_back(self, use: Use) -> None:
        """A call of this kind has ended; those who wait for a connection for another kind are told."""
        self._taken[use] -= 1
        self._tell_others(use)

    def listen(self, use: Use, hear: Callable[[], None]) -> None:
        """Have ``hear`` called whenever a call of another kind gives a connection back, and when a pause is over."""
        self._listeners.append((use, hear))

    def _tell_others(self, use: Use) -> None:
        # Who takes it changes the order.
        for other, hear in tuple(self._listeners):
            if other != use:
                hear()
