"""Finding the ids that make AWS refuse a call, without letting their neighbours suffer."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SUSPICIOUS: Final = 5
"""So many ids refused alone with the same text may mean that AWS would refuse any call."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(r"request[ _-]?id\W{1,3}[\w=+/-]+", re.IGNORECASE)


class Bisection:
    """What is known of a refused call while its parts are tried on their own.

    One malformed id makes AWS refuse the whole call. So a refused call is split until the bad ids are alone. When
    nothing is wrong with the ids and AWS would refuse any call, that is a waste. The sign of it is that `SUSPICIOUS`
    ids were refused alone with the same text, that the part tried next was refused too, and that no part was ever
    answered.

    To learn early which of the two it is, the smallest part is tried first, but after each id that was refused alone
    the largest, since that one will be answered if the ids are at fault.
    """

    __slots__ = ("_alone", "_confirmed", "_try_largest", "has_answer", "parts_in_flight")

    def __init__(self) -> None:
        self.has_answer = False
        self.parts_in_flight = 0
        self._alone = Counter[str]()
        self._try_largest = False
        self._confirmed = False

    @property
    def is_general(self) -> bool:
        """Whether the refusal is not about the ids."""
        return self._confirmed and not self.has_answer and not self.parts_in_flight

    def refused(self, job_ids: Sequence[str], text: str) -> None:
        """A part with these ids was refused, with this text."""
        self._confirmed = self._confirmed or max(self._alone.values(), default=0) >= SUSPICIOUS
        if len(job_ids) == 1:
            self._alone[_without_request_id(text, job_ids[0])] += 1
            self._try_largest = True

    def preference(self, size: int) -> int:
        """The sort key of a part of so many ids: the least is tried first."""
        return -size if self._try_largest else size

    def sent(self) -> None:
        """The part that came first was sent."""
        self.parts_in_flight += 1
        self._try_largest = False


def _without_request_id(text: str, job_id: str) -> str:
    """A text without what differs from call to call; a job's id is no such thing, and says that the job is at fault."""
    text = _REQUEST_ID.sub("", text)
    return _UUID.sub(lambda match: match[0] if match[0] in job_id else "", text)
