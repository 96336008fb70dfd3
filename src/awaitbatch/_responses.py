"""What AWS Batch answered: the jobs in a body."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from typing import TYPE_CHECKING

import msgspec

from awaitbatch._core.text import one_line
from awaitbatch._failures import UnreadableResponseError
from awaitbatch._jobs import UNDECODABLE, JobHead, KnownStatus

if TYPE_CHECKING:
    from collections.abc import Sequence


class _KnownHead(JobHead, gc=False):
    status: KnownStatus | None = None


class _Heads(msgspec.Struct, gc=False):
    jobs: list[_KnownHead]


class _Items(msgspec.Struct, gc=False):
    jobs: list[msgspec.Raw]


class _Id(msgspec.Struct, gc=False, rename="camel"):
    job_id: str = ""


_decode_heads = msgspec.json.Decoder(_Heads).decode
_decode_items = msgspec.json.Decoder(_Items).decode
_decode_head = msgspec.json.Decoder(JobHead).decode
_decode_id = msgspec.json.Decoder(_Id).decode

# One object for all equal texts, as long as there are few: the states of a hundred thousand jobs would take megabytes.
# `sys.intern` would keep whatever anybody sends, in some versions of Python for good.
_clean_status = functools.lru_cache(maxsize=64)(one_line)


class DescribeJobsResponse:
    """The body of a response to DescribeJobs, of which only as much is decoded as somebody wants.

    Attributes:
        heads: Job id to the little that every check needs. A job that is in the response twice is shown as far as it
            had come. A status that is not known is made fit for a line of text.

    Args:
        body: The body.
        job_ids: The jobs asked for. If the response holds one whose id cannot be read, those of them that seem to be
            absent are shown without a status instead.

    Raises:
        UnreadableResponseError: The body is not a response to DescribeJobs.
    """

    def __init__(self, body: bytes, job_ids: Sequence[str] = ()) -> None:
        self._body = body
        heads: Sequence[JobHead] | None = None
        with contextlib.suppress(*UNDECODABLE):
            heads = _decode_heads(body).jobs
        if heads is None:
            self._body, self._items = _split(body)
            heads = [decode_head(item) for item in self._items]
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
        """One job of the response as JSON, copied, so that keeping it does not keep the whole body."""
        return bytes(self._items_by_id[job_id])

    @functools.cached_property
    def _items(self) -> Sequence[msgspec.Raw | bytes]:
        try:
            return _split(self._body)[1]
        except UnreadableResponseError:
            # The heads could be read. One job is nested so deep that it just could, and the others need not suffer.
            return _split_without_nesting(self._body)

    @functools.cached_property
    def _items_by_id(self) -> dict[str, msgspec.Raw | bytes]:
        # Of a job that is in the response twice, the one that `heads` shows.
        both = zip(self._all_heads, self._items, strict=True)
        return {head.job_id: item for head, item in both if self.heads[head.job_id] is head}


def _split(body: bytes) -> tuple[bytes, list[msgspec.Raw]]:
    """The jobs of a body, and the body, rewritten if msgspec cannot read it as it came."""
    with contextlib.suppress(*UNDECODABLE):
        return body, _decode_items(body).jobs
    body = _with_whole_characters(body)
    try:
        return body, _decode_items(body).jobs
    except UNDECODABLE as error:
        message = f"not an answer to DescribeJobs: {error}"
    # Out here, or it would refer to the error of decoding, which may hold what it could not decode.
    raise UnreadableResponseError(message)


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def _split_without_nesting(body: bytes) -> list[bytes]:
    """The jobs of a body that is known to be an answer, however deep they are nested."""
    items: list[bytes] = []
    depth = begin = 0
    text, is_in_jobs = b"", False
    for token in _TOKEN.finditer(body):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == 2:  # noqa: PLR2004
                    is_in_jobs = text == b'"jobs"'
                    if is_in_jobs:
                        # Of members of the same name the last one counts.
                        items = []
                elif depth == 3 and is_in_jobs:  # noqa: PLR2004
                    begin = token.start()
            case b"]" | b"}":
                if depth == 3 and is_in_jobs:  # noqa: PLR2004
                    items.append(body[begin : token.end()])
                depth -= 1
            case _ if depth == 1:
                text = token[0]
    return items


def _with_whole_characters(body: bytes) -> bytes:
    r"""Replace half characters such as ``\ud83d``, left where text was cut: Python reads them, msgspec does not."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return body


def decode_head(item: msgspec.Raw | bytes) -> JobHead:
    """The head of one job, in whatever form.

    A job in a form that nobody foresaw must not hide the others of the response, nor count as absent.
    """
    with contextlib.suppress(*UNDECODABLE):
        head = _decode_head(item)
        head.status = head.status and _clean_status(head.status)
        return head
    with contextlib.suppress(*UNDECODABLE):
        return JobHead(job_id=_decode_id(item).job_id)
    return JobHead()
