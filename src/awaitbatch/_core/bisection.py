"""Finding the ids that make AWS refuse a call, without letting their neighbours suffer."""

from __future__ import annotations


class Bisection:
    """What is known of a refused call while its parts are tried on their own.

    One malformed id makes AWS refuse the whole call. So a refused call is parted until the culprits are alone. When
    nothing is wrong with the ids and AWS would refuse any call, that is a waste; two ids refused alone with the
    same text, and no part answered, are taken as the sign of it. To learn that early, the smallest part is tried
    first; but once one id was refused alone, the largest, since it will be answered if the ids are at fault.
    """

    __slots__ = ("_largest_was_tried", "_repeated", "_texts", "has_answer", "parts_in_flight")

    def __init__(self) -> None:
        self.has_answer = False
        self.parts_in_flight = 0
        self._texts: set[str] = set()
        self._repeated = False
        self._largest_was_tried = False

    @property
    def is_general(self) -> bool:
        """Whether the refusal is not about the ids."""
        return self._repeated and not self.has_answer and not self.parts_in_flight

    def refused_single(self, text: str) -> None:
        """One id was refused alone, with this text."""
        self._repeated = self._repeated or text in self._texts
        self._texts.add(text)

    def preference(self, size: int) -> int:
        """The sort key of a part of so many ids: the least is tried first."""
        return -size if self._texts and not self._largest_was_tried else size

    def sent(self) -> None:
        """The part that came first was sent."""
        self.parts_in_flight += 1
        self._largest_was_tried = bool(self._texts)
