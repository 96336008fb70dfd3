"""Bodies of answers, of which only as much is decoded as somebody wants."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest

from awaitbatch._failures import UnreadableResponseError
from awaitbatch._jobs import decode_description
from awaitbatch._responses import DescribeJobsResponse, _split_without_nesting

from .descriptions import LIVES, body_of, describe_jobs

BROKEN = [
    pytest.param(b"", id="empty"),
    pytest.param(b" ", id="blank"),
    pytest.param(describe_jobs()[:-1], id="truncated by one"),
    pytest.param(describe_jobs()[:5000], id="truncated"),
    pytest.param(b"<html><body>Service Unavailable</body></html>", id="HTML"),
    pytest.param(b"{}", id="no jobs"),
    pytest.param(b'{"jobs": null}', id="jobs null"),
    pytest.param(b'{"jobs": {}}', id="jobs no list"),
    pytest.param(b'{"Jobs": []}', id="other case"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'{"jobs": ' + b"[" * 100_000, id="nested too deep"),
    pytest.param(b"\xff\xfe", id="no text"),
    pytest.param(b'{"jobs": [{"jobId": "a"}]} trailing', id="trailing"),
    pytest.param(b'{"jobs": [{"jobId": "a"}, {"jobId', id="truncated in a job"),
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_answer(body: bytes) -> None:
    """A body that is no answer to DescribeJobs raises one error, whatever is wrong with it."""
    with pytest.raises(UnreadableResponseError, match="not an answer to DescribeJobs"):
        DescribeJobsResponse(body)


def test_heads_of_all_jobs() -> None:
    """Each job of a real answer has its head under its id."""
    heads = DescribeJobsResponse(describe_jobs()).heads
    assert list(heads) == [*LIVES, "array", "array:1"]
    assert heads["new"].status == "SUBMITTED"
    assert heads["failed"].status == "FAILED"
    assert heads["retrying"].order[0] == 1


def test_no_jobs_is_an_answer() -> None:
    """An empty list is a good answer: AWS knows none of the jobs."""
    assert DescribeJobsResponse(b'{"jobs":[]}').heads == {}


def test_descriptions_of_all_jobs() -> None:
    """Each job of a real answer can be had whole."""
    answer = DescribeJobsResponse(describe_jobs())
    for job in msgspec.json.decode(describe_jobs())["jobs"]:
        assert decode_description(answer.description(job["jobId"])) == job


ODD_JOBS: list[Any] = [
    {"jobId": "odd", "status": "RUNNING", "attempts": {"a": 1}},
    {"jobId": "odd", "status": "RUNNING", "attempts": "none"},
    {"jobId": "odd", "status": 5},
    {"jobId": "odd", "status": {"value": "RUNNING"}},
    {"jobId": None, "status": "RUNNING"},
    {"jobId": 7, "status": "RUNNING"},
    "odd",
    None,
    [],
    5,
]


@pytest.mark.parametrize("odd", ODD_JOBS, ids=str)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_job_hides_no_other(odd: Any, place: int) -> None:
    """A job in a form that nobody foresaw does not hide its neighbours, nor shift their descriptions."""
    jobs: list[Any] = [
        {"jobId": "a", "status": "RUNNING", "n": 1},
        {"jobId": "b", "status": "FAILED", "n": 2},
    ]
    jobs.insert(place, odd)
    answer = DescribeJobsResponse(body_of(*jobs))
    assert (answer.heads["a"].status, answer.heads["b"].status) == ("RUNNING", "FAILED")
    assert dict(decode_description(answer.description("a")))["n"] == 1
    assert dict(decode_description(answer.description("b")))["n"] == 2


@pytest.mark.parametrize("odd", ODD_JOBS[:4], ids=str)
def test_an_odd_job_with_an_id_is_not_absent(odd: Any) -> None:
    """A job whose id can be read is there, without a status."""
    assert DescribeJobsResponse(body_of(odd)).heads["odd"].status is None


@pytest.mark.parametrize("odd", ODD_JOBS[4:], ids=str)
def test_an_odd_job_without_an_id_may_be_any(odd: Any) -> None:
    """While a job's id cannot be read, none of those asked for counts as absent."""
    heads = DescribeJobsResponse(body_of(odd, {"jobId": "b", "status": "FAILED"}), ("a", "b")).heads
    assert heads["a"].status is None
    assert heads["b"].status == "FAILED"


@pytest.mark.parametrize("member", [b"jobId", b"status"])
def test_a_garbled_job_hides_no_other(member: bytes) -> None:
    """Bytes that are no text in one job do not hide the next."""
    body = b'{"jobs":[{"%s":"\xff"},{"jobId":"b","status":"FAILED"}]}' % member
    answer = DescribeJobsResponse(body, ("a", "b"))
    assert answer.heads["a"].status is None
    assert dict(decode_description(answer.description("b"))) == {"jobId": "b", "status": "FAILED"}


@pytest.mark.parametrize("text", [rb"cut \ud83d", rb"\ude00 cut", rb"\ud83d\u0020"], ids=repr)
def test_half_an_emoji_hides_no_job(text: bytes) -> None:
    """A text that was cut in the middle of a character, as a long statusReason may be, hides not even its own job."""
    item = b'{"jobId":"a","status":"FAILED","statusReason":"%s"}' % text
    answer = DescribeJobsResponse(b'{"jobs":[%s,{"jobId":"b","status":"RUNNING"}]}' % item)
    assert (answer.heads["a"].status, answer.heads["b"].status) == ("FAILED", "RUNNING")
    whole = json.loads(item)["statusReason"].encode(errors="replace").decode()
    assert decode_description(answer.description("a"))["statusReason"] == whole


def test_absent_jobs_are_absent() -> None:
    """Without odd jobs those that are missing are absent."""
    assert list(DescribeJobsResponse(body_of({"jobId": "b", "status": "FAILED"}), ("a", "b")).heads) == ["b"]


@pytest.mark.parametrize("missing", [{}, {"status": None}], ids=["absent", "null"])
def test_no_status(missing: dict[str, Any]) -> None:
    """A job without a status is there, and so are the others."""
    answer = DescribeJobsResponse(body_of({"jobId": "a", **missing}, {"jobId": "b", "status": "RUNNING"}))
    assert answer.heads["a"].status is None
    assert answer.heads["b"].status == "RUNNING"


def test_no_id() -> None:
    """A job without an id is nobody's, and hides no other."""
    answer = DescribeJobsResponse(body_of({"status": "FAILED"}, {"jobId": "b", "status": "RUNNING"}))
    assert answer.heads["b"].status == "RUNNING"


def test_an_unknown_status() -> None:
    """A status that AWS invented yesterday is kept as it came, with all else that is read of its job."""
    job = {"jobId": "a", "status": "HIBERNATING", "attempts": [{}], "createdAt": 5}
    response = DescribeJobsResponse(body_of(job, {"jobId": "b", "status": "RUNNING"}))
    head = response.heads["a"]
    assert (head.status, head.attempts_ended, head.created_at) == ("HIBERNATING", 1, 5)
    assert response.heads["b"].status == "RUNNING"
    assert decode_description(response.description("a")) == job


def test_an_unknown_status_is_one_line() -> None:
    """A status that would break out of its line is made fit for one where it enters."""
    response = DescribeJobsResponse(body_of({"jobId": "a", "status": "RUNNING\nforged"}))
    assert response.heads["a"].status == r"'RUNNING\nforged'"


@pytest.mark.parametrize("status", ["RUNNING", "HIBERNATING"])
def test_jobs_of_one_status_share_its_name(status: str) -> None:
    """Bodies bring a string of its own for each job; of a hundred thousand only one is kept."""
    body = body_of(*({"jobId": job_id, "status": status} for job_id in "ab"))
    first, second = DescribeJobsResponse(body), DescribeJobsResponse(body)
    assert first.heads["a"].status is first.heads["b"].status is second.heads["a"].status


@pytest.mark.parametrize("time", ["soon", None, 1.5, {"at": 5}, []], ids=str)
def test_odd_times_hide_nothing(time: Any) -> None:
    """Whatever is in the place of a time, the job is seen."""
    job = {"jobId": "a", "status": "RUNNING", "createdAt": time, "startedAt": time, "stoppedAt": time}
    assert DescribeJobsResponse(body_of(job)).heads["a"].status == "RUNNING"


@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_repeated_job_shows_the_furthest(last: int) -> None:
    """A job that is in the answer several times is shown as far as it had come, description included."""
    jobs = [
        {"jobId": "a", "status": "RUNNING", "attempts": []},
        {"jobId": "a", "status": "RUNNABLE", "attempts": [{}]},
        {"jobId": "a", "status": "STARTING", "attempts": []},
    ]
    neighbour = {"jobId": "b", "status": "FAILED"}
    answer = DescribeJobsResponse(body_of(*jobs[last:], neighbour, *jobs[:last]))
    assert answer.heads["a"].status == "RUNNABLE"
    assert decode_description(answer.description("a")) == jobs[1]
    assert dict(decode_description(answer.description("b"))) == neighbour


def test_escapes_in_ids() -> None:
    """An id that AWS chose to escape is the same id."""
    answer = DescribeJobsResponse(rb'{"jobs":[{"jobId":"a\u003a0","status":"RUNNING"}]}')
    assert list(answer.heads) == ["a:0"]


def test_a_description_does_not_keep_the_body_alive() -> None:
    """What is kept of an answer is a copy: one waiting job must not hold on to 350 KB."""
    body = describe_jobs()
    before = sys.getrefcount(body)
    answer = DescribeJobsResponse(body)
    item = answer.description("failed")
    assert type(item) is bytes
    assert len(item) < len(body) / 4
    assert sys.getrefcount(body) > before
    del answer
    assert sys.getrefcount(body) == before
    assert decode_description(item)["jobId"] == "failed"


def test_descriptions_of_absent_jobs() -> None:
    """A job that is not in the answer has no description."""
    with pytest.raises(KeyError):
        DescribeJobsResponse(describe_jobs()).description("absent")


@pytest.mark.parametrize("body", [b'{"jobs": "\xff"}', b"\xff", b'{"jobs": [{'], ids=repr)
def test_an_unreadable_body_is_not_kept(body: bytes) -> None:
    """The error refers to nothing that could hold the body, or a part of it."""
    with pytest.raises(UnreadableResponseError) as caught:
        DescribeJobsResponse(body)
    assert caught.value.__cause__ is caught.value.__context__ is None


def at_the_boundary() -> list[tuple[bytes, str]]:
    """Answers around the depth at which msgspec gives up, each with the deep member's JSON."""
    bodies = []
    for depth in [*range(900, sys.getrecursionlimit() + 20), *range(1450, 1530)]:
        deep = "[" * depth + "]" * depth
        body = f'{{"x": ["jobs", {{}}], "jobs": [{{"jobId": "deep", "status": "FAILED", "x": {deep}}}, '
        body += r'{"jobId": "other", "status": "FAILED", "statusReason": "]}\"[{\\"}], "nextToken": "jobs"}'
        bodies.append((body.encode(), deep))
    return bodies


def test_a_job_that_is_nested_too_deep() -> None:
    """Wherever the heads of an answer can be read, all jobs can be had, however deep one of them is nested."""
    read = 0
    for body, deep in at_the_boundary():
        try:
            response = DescribeJobsResponse(body)
        except UnreadableResponseError:
            continue
        read += 1
        assert decode_description(response.description("other"))["statusReason"] == ']}"[{\\'
        assert deep.encode() in response.description("deep")
    assert read


@pytest.mark.parametrize(
    "body", [describe_jobs(), b'{"jobs":[]}', b'{"a":[[{}]],"jobs":[{"a":1}],"b":{"jobs":[{}]}}']
)
def test_splitting_without_nesting(body: bytes) -> None:
    """The slow way to split an answer gives what the fast one does."""
    assert [*map(json.loads, _split_without_nesting(body))] == json.loads(body)["jobs"]


def test_splitting_members_of_the_same_name() -> None:
    """Of two lists of jobs the last one counts, as it does for msgspec."""
    body = b'{"jobs": [{"jobId": "a", "status": "FAILED"}], "jobs": [{"jobId": "b", "status": "FAILED"}]}'
    assert _split_without_nesting(body) == [DescribeJobsResponse(body).description("b")]
