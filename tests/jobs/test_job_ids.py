"""Which ids are sent to AWS, and which are refused before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch._job_ids import parse_job_id
from awaitbatch._jobs import JobStatus
from awaitbatch.errors import AwaitBatchError, InvalidJobIdError

UUID = "0123abcd-89ef-4567-8a9b-0123456789ab"
ARN = "arn:aws:batch:us-east-1:123456789012:job/"

GOOD = [
    UUID,
    "a",
    "_",
    "-",
    "Job_1-2",
    "x" * 128,
    f"{UUID}:0",
    f"{UUID}:9999",
    f"{UUID}#0",
    f"{UUID}#12",
    "x" * 128 + ":9999",
]

ARNS = [
    (f"{ARN}{UUID}", UUID),
    (f"{ARN}{UUID}:7", f"{UUID}:7"),
    (f"{ARN}{UUID}#3", f"{UUID}#3"),
    (f"arn:aws-cn:batch:cn-north-1:123456789012:job/{UUID}", UUID),
    (f"arn:aws-us-gov:batch:us-gov-west-1:123456789012:job/{UUID}:12", f"{UUID}:12"),
    (f"arn:aws-iso-b:batch:us-isob-east-1:123456789012:job/{UUID}", UUID),
]

BAD_TEXTS = [
    "",
    " ",
    "\t\n",
    f" {UUID}",
    f"{UUID} ",
    f"{UUID}\n",
    f"{UUID}:0\n",
    f"{ARN}{UUID}\n",
    "a b",
    f"{UUID},{UUID}",
    f"{UUID}, {UUID}",
    "x" * 129,
    "x" * 100_000,
    "job/x",
    "a.b",
    "a/b",
    "ä",
    "jöb",
    f"{UUID}:",
    f"{UUID}#",
    f"{UUID}:x",
    f"{UUID}:-1",
    f"{UUID}:0:1",
    f"{UUID}#0#1",
    f"{UUID}:0#1",
    f"{UUID}:1234567890",
    ":0",
    "#0",
    "\u0661\u0662\u0663",
    "a:\u0661",
    "job\x00",
    '["a"]',
    ARN,
    f"{ARN}a b",
    f"{ARN}{UUID},{UUID}",
    f"{ARN}{'x' * 129}",
    f"{ARN}{ARN}{UUID}",
    f"{ARN}{UUID}/x",
    "arn:aws:batch:us-east-1:123456789012:job-definition/worker:1",
    "arn:aws:batch:us-east-1:123456789012:job-queue/queue",
    f"arn:aws:ecs:us-east-1:123456789012:job/{UUID}",
    f"arn:aws:batch:us-east-1:1234:job/{UUID}",
    f"arn:aws:batch::123456789012:job/{UUID}",
    f"arn:aws:batch:us-east-1:12345678901\u0662:job/{UUID}",
    f"ARN:aws:batch:us-east-1:123456789012:job/{UUID}",
    f"x{ARN}{UUID}",
]

NOT_TEXTS: list[Any] = [
    None,
    5,
    0,
    True,
    1.5,
    b"abc",
    bytearray(b"abc"),
    ["a"],
    ("a",),
    {"jobId": "a"},
    object,
]


def short(value: Any) -> str:
    """What a test is called for this value."""
    return ascii(value)[:60]


@pytest.mark.parametrize("job_id", GOOD, ids=short)
def test_ids_pass_as_they_are(job_id: str) -> None:
    """Ids of jobs, of array children and of nodes are sent as they came."""
    assert parse_job_id(job_id) == job_id


@pytest.mark.parametrize(("arn", "job_id"), ARNS, ids=short)
def test_arns_are_reduced(arn: str, job_id: str) -> None:
    """The ARN of a job in any partition, children included, is reduced to the id."""
    assert parse_job_id(arn) == job_id


@pytest.mark.parametrize("bad", [*BAD_TEXTS, *NOT_TEXTS], ids=short)
def test_the_rest_is_refused(bad: Any) -> None:
    """What cannot be an id is refused with an error that shows it, whatever the caller catches."""
    with pytest.raises(InvalidJobIdError) as caught:
        parse_job_id(bad)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AwaitBatchError)
    assert repr(bad)[:160] in str(caught.value)
    assert str(caught.value).isprintable() or not repr(bad).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("bad", NOT_TEXTS, ids=short)
def test_a_wrong_type_is_named(bad: Any) -> None:
    """Who passes something else than text reads what it was."""
    with pytest.raises(InvalidJobIdError, match=f"must be a str, not {type(bad).__name__}"):
        parse_job_id(bad)


def test_a_list_in_one_text_gets_a_hint() -> None:
    """Who passes several ids in one text reads what to do instead, others do not."""
    with pytest.raises(InvalidJobIdError, match="describe_jobs"):
        parse_job_id("a,b")
    with pytest.raises(InvalidJobIdError) as caught:
        parse_job_id("a b")
    assert "describe_jobs" not in str(caught.value)


def test_a_service_job_gets_a_hint() -> None:
    """Its ARN is one of AWS Batch's, too, but of a job that SageMaker runs."""
    with pytest.raises(InvalidJobIdError, match="DescribeServiceJob"):
        parse_job_id(ARN.replace(":job/", ":service-job/") + UUID)


@settings(deadline=None)
@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,128}([:#][0-9]{1,9})?\Z"))
def test_every_id_of_the_grammar_passes(job_id: str) -> None:
    """Whatever has the form of an id passes, bare and in an ARN."""
    assert parse_job_id(job_id) == job_id
    assert parse_job_id(ARN + job_id) == job_id


@settings(deadline=None)
@given(st.text(max_size=140) | st.text("aZ0-_:#,/ \n", max_size=20))
def test_what_passes_has_the_form(text: str) -> None:
    """Nothing passes that one malformed id in a call of a hundred could be."""
    try:
        job_id = parse_job_id(text)
    except InvalidJobIdError:
        return
    assert job_id.isascii()
    name = job_id.replace("#", ":").partition(":")[0]
    assert 1 <= len(name) <= 128
    assert set(job_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:#")


def test_an_enum_of_text_is_text() -> None:
    """A subclass of str is an id like any other."""
    assert parse_job_id(JobStatus.RUNNING) == "RUNNING"
