"""What AWS Batch answered: the jobs in a body."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import msgspec

from awaitbatch._failures import UnreadableResponseError
from awaitbatch._jobs import UNDECODABLE, JobHead

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Heads(msgspec.Struct, gc=False):
    jobs: list[JobHead]


class _Items(msgspec.Struct, gc=False):
    jobs: list[msgspec.Raw]


class _Id(msgspec.Struct, gc=False, rename="camel"):
    job_id: str = ""


_decode_id = msgspec.json.Decoder(_Id).decode
_decode_heads = msgspec.json.Decoder(_Heads).decode
_decode_items = msgspec.json.Decoder(_Items).decode
_decode_head = msgspec.json.Decoder(JobHead).decode


class DescribeJobsResponse:
    """The body of an answer to DescribeJobs, of which only as much is decoded as somebody wants.

    Attributes:
        heads: Job id to the little that every check needs. A job that is in the answer twice is shown as far as it
            had come.

    Args:
        body: The body.
        job_ids: The jobs asked for. If the answer holds one whose id cannot be read, those of them that seem to be
            absent are shown without a status instead.

    Raises:
        UnreadableResponseError: The body is not an answer to DescribeJobs.
    """

    def __init__(self, body: bytes, job_ids: Sequence[str] = ()) -> None:
        self._body = body
        heads = _decode_heads_of(body)
        if heads is None:
            self._body = _with_whole_characters(body)
            heads = [_decode_leniently(item) for item in self._items]
        self._all_heads = heads
        self.heads = {head.job_id: head for head in self._all_heads}
        if len(self.heads) < len(self._all_heads):
            for head in self._all_heads:
                if head.order > self.heads[head.job_id].order:
                    self.heads[head.job_id] = head
        if "" in self.heads:
            # It may be any of those that seem to be absent.
            for job_id in job_ids:
                self.heads.setdefault(job_id, JobHead(job_id=job_id))

    def description(self, job_id: str) -> bytes:
        """One job of the answer as JSON, copied, so that keeping it does not keep the whole body."""
        return bytes(self._items_by_id[job_id])

    @functools.cached_property
    def _items(self) -> list[msgspec.Raw]:
        try:
            return _decode_items(self._body).jobs
        except UNDECODABLE as error:
            message = f"not an answer to DescribeJobs: {error}"
        # Out here, or it would refer to the error of decoding, which may hold what it could not decode.
        raise UnreadableResponseError(message)

    @functools.cached_property
    def _items_by_id(self) -> dict[str, msgspec.Raw]:
        # Of a job that is in the answer twice, the one that `heads` shows.
        both = zip(self._all_heads, self._items, strict=True)
        return {head.job_id: item for head, item in both if self.heads[head.job_id] is head}


def _decode_heads_of(body: bytes) -> list[JobHead] | None:
    try:
        return _decode_heads(body).jobs
    except UNDECODABLE:
        return None


def _with_whole_characters(body: bytes) -> bytes:
    r"""Replace half characters such as ``\ud83d``, left where text was cut: Python reads them, msgspec does not."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return body


def _decode_leniently(item: msgspec.Raw) -> JobHead:
    """A job in a form that nobody foresaw must not hide the others of the answer, nor count as absent."""
    try:
        return _decode_head(item)
    except UNDECODABLE:
        pass
    try:
        return JobHead(job_id=_decode_id(item).job_id)
    except UNDECODABLE:
        return JobHead()
