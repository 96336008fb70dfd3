"""The ids of jobs: from arguments, from standard input, and from the JSON that other commands print."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Final, TextIO

from awaitbatch._core.text import shown
from awaitbatch._job_ids import parse_job_id
from awaitbatch.cli._exit_codes import CommandError
from awaitbatch.errors import InvalidJobIdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIN: Final = "-"
_LISTS: Final = ("jobSummaryList", "jobs")
"""Where list-jobs and describe-jobs have their jobs."""
_WORD: Final = re.compile(r"\S+")


def read_job_ids(arguments: Sequence[str], stdin: TextIO | None = None) -> list[str]:
    """The ids that are meant, each once, in the order in which they were given.

    Standard input may hold words, documents of JSON, or both. A document is a job's id, an object with a ``jobId``, one
    with a ``jobSummaryList`` or ``jobs``, or a list of these: what ``aws batch submit-job``, ``list-jobs`` and
    ``describe-jobs`` print, with or without ``--query``, and the lines of our own ``--json``.

    Args:
        arguments: Ids and ARNs; ``-`` stands for standard input.
        stdin: Standard input.

    Raises:
        CommandError: One cannot be a job's id, or standard input has no id.
    """
    ids: dict[str, None] = {}
    bad: list[str] = []
    for argument in arguments:
        given = _ids_of_text((stdin or sys.stdin).read()) if argument == STDIN else [argument]
        for job_id in given:
            try:
                ids.setdefault(parse_job_id(job_id))
            except InvalidJobIdError as error:
                bad.append(str(error))
    if bad:
        more = f"; {len(bad) - 1:,} more are none either" if len(bad) > 1 else ""
        message = f"{bad[0]}{more}"
        raise CommandError(message)
    return list(ids)


def _ids_of_text(text: str) -> list[str]:
    if not text.strip():
        message = "standard input has no job id; did the command before it fail?"
        raise CommandError(message)
    return list(_words_and_documents(text))


def _words_and_documents(text: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    position = 0
    while (word := _WORD.search(text, position)) is not None:
        if word[0][0] not in '{["':
            yield word[0]
            position = word.end()
            continue
        try:
            document, position = decoder.raw_decode(text, word.start())
        except (ValueError, RecursionError):
            message = f"standard input is neither job ids nor JSON: {shown(text[word.start() :].strip(), 60)}"
            raise CommandError(message) from None
        yield from _ids_of_document(document)


def _ids_of_document(document: object) -> Iterator[str]:
    match document:
        case str():
            yield document
        case list():
            for item in document:
                yield from _ids_of_document(item)
        case {"jobId": str(job_id)}:
            yield job_id
        case {**members} if lists := [
            members[name] for name in _LISTS if isinstance(members.get(name), list)
        ]:
            yield from _ids_of_document(lists[0])
        case _:
            message = f"the JSON on standard input has no jobId: {shown(document, 60)}"
            raise CommandError(message)
