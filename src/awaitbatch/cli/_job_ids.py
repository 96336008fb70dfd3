"""The ids of jobs: from arguments, from standard input, and from the JSON that other commands print."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
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
_WORD: Final = re.compile(r"[^\s,]+")
_NOTHING: Final = ("null", "None")
"""What aws prints, as JSON and as text, if ``--query`` finds nothing."""
_NO_TEXT: Final = re.compile("[\0\udc80-\udcff]")
"""What is in files of other kinds. In some locales Python makes half characters of bytes that are no text."""
_ARN: Final = r"(arn:\S+:job/(\S+))"
_SUBMITTED: Final = re.compile(rf"^{_ARN}\t\2\t.*$", re.MULTILINE)
"""What `aws batch submit-job` prints as text: the job's ARN, its id and its name."""
_LISTED: Final = re.compile(rf"^(?:JOBSUMMARYLIST|JOBS)\t(?:.*\t)?{_ARN}(?:\s|$)", re.MULTILINE)
"""A row of what list-jobs and describe-jobs print as text, where other rows and columns are no ids."""


def read_job_ids(arguments: Sequence[str], stdin: TextIO | None = None) -> list[str]:
    """The ids that are meant, each once, in the order in which they were given.

    Standard input may hold words, documents of JSON, or both. A document is a job's id, an object with a ``jobId``, one
    with a ``jobSummaryList`` or ``jobs``, or a list of these: what ``aws batch submit-job``, ``list-jobs`` and
    ``describe-jobs`` print, with or without ``--query``, and the lines of our own ``--json``. What these commands print
    with ``--output text`` does as well.

    Args:
        arguments: Ids and ARNs, also several with commas between them; ``-`` stands for standard input.
        stdin: Standard input.

    Raises:
        CommandError: One cannot be a job's id, or standard input has no id or cannot be read.
    """
    ids: dict[str, None] = {}
    bad: list[str] = []
    for argument in arguments:
        given = _ids_of_text(_text_of(stdin or sys.stdin)) if argument == STDIN else argument.split(",")
        for job_id in given:
            try:
                ids.setdefault(parse_job_id(job_id))
            except InvalidJobIdError as error:
                bad.append(str(error) + _hint(job_id if argument != STDIN else ""))
    if bad:
        more = len(bad) - 1
        also = f"; {more:,} more {'is' if more == 1 else 'are'} none either" if more else ""
        message = f"{bad[0]}{also}"
        raise CommandError(message)
    return list(ids)


def _hint(argument: str) -> str:
    """What to do if somebody gave a file where ids are meant."""
    is_file = "\0" not in argument and Path(argument).is_file()
    return f"; to read ids from a file, write: - < {shlex.quote(argument)}" if is_file else ""


def _text_of(stdin: TextIO | None) -> str:
    if stdin is None:
        # So Python has it if the process was started without.
        message = "standard input is closed, so it has no job ids"
        raise CommandError(message)
    try:
        text = stdin.read()
    except OSError as error:
        message = f"standard input cannot be read: {error.strerror}"
        raise CommandError(message) from error
    except UnicodeDecodeError:
        text = "\0"
    if _NO_TEXT.search(text):
        encoding = stdin.encoding or "UTF-8"
        message = f"standard input is no text in {encoding}, as ids would be; is it another kind of file?"
        raise CommandError(message)
    # Programs of Windows begin a file with this character.
    return text.removeprefix("\ufeff")


def _ids_of_text(text: str) -> list[str]:
    if not text.strip():
        message = "standard input has no job id; did the command before it fail?"
        raise CommandError(message)
    if rows := _LISTED.findall(text):
        return [arn for arn, _ in rows]
    return list(_words_and_documents(_SUBMITTED.sub(r"\1", text)))


def _words_and_documents(text: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    position = 0
    while (word := _WORD.search(text, position)) is not None:
        if word[0] in _NOTHING:
            message = (
                f"standard input has {word[0]} in the place of a job id; did the command before it find none?"
            )
            raise CommandError(message)
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
