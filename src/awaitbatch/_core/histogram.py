"""How long things took: counts in fixed classes, so that a million of them take no more memory than one."""

from __future__ import annotations

from typing import Final

_BITS: Final = 4
"""Each doubling has 2**4 classes of equal width."""
_MOST: Final = (1 << 31) - 1
"""In milliseconds, which is 24 days; what took longer counts as that."""


class Histogram:
    """Durations, of which it knows later how long such a share of them took at most, to 4 %."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * (32 << _BITS)

    def add(self, milliseconds: int) -> None:
        """Count one that took so long; less than nothing is nothing."""
        if milliseconds <= 0:
            self._counts[0] += 1
            return
        milliseconds = min(milliseconds, _MOST)
        # The place of the first bit, and the bits after it.
        doublings = milliseconds.bit_length()
        self._counts[(doublings << _BITS) + ((milliseconds << _BITS >> doublings - 1) & 15)] += 1

    def quantile(self, share: float) -> float:
        """How many seconds that share of them took at most; 0.0 if there are none.

        Args:
            share: From 0 to 1.
        """
        rank = share * sum(self._counts)
        for place, count in enumerate(self._counts):
            rank -= count
            if rank <= 0 and count:
                doublings, bits = place >> _BITS, place & 15
                # The middle of the class.
                return (2**_BITS + bits + 0.5) * 2.0 ** (doublings - 1 - _BITS) / 1000 if place else 0.0
        return 0.0
