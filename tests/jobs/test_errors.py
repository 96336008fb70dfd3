"""The errors of the package: their tree, what they carry, and what they say."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

import awaitbatch
from awaitbatch import errors
from awaitbatch._core.backoff import FixedInterval
from awaitbatch._core.outcomes import MATCHED, Failure, FailureKind, Outcome, Reason
from awaitbatch._core.watch import Watch
from awaitbatch._results import WaitResult

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = {
    "jobId": "a",
    "status": "FAILED",
    "statusReason": "Essential container in task exited",
    "attempts": [{}],
}

EXAMPLES: list[errors.AwaitBatchError] = [
    errors.AwaitBatchError("text"),
    errors.InvalidJobIdError("text"),
    errors.JobNotFoundError("text", job_id="a", seen=True),
    errors.StatusUnreachableError("text", job_id="a", status="FAILED", awaited=("RUNNING",)),
    errors.MaxRetriesExceededError(
        "text", job_id="a", checks=7, failed_checks=2, last_status="RUNNING", last_reason="x"
    ),
    errors.CallError("text", operation="ListJobs", code="ServerException", http_status=500),
    errors.ResourceInvalidError("text", name="queue", reason="no role"),
    errors.ResourceNotFoundError("text", name="queue", seen=True),
    errors.DescribeError("text", job_id="a", code="AccessDeniedException", http_status=403),
    errors.DescribeError(
        "text", job_id="a", code="ExpiredToken", http_status=403, needs_new_credentials=True
    ),
    errors.JobFailedError("text", job=JOB),
    errors.JobsFailedError("text", [errors.JobFailedError("one", job=JOB)]),
    errors.JobNotCompleteError("text", job=JOB),
    errors.UnknownJobStatusError("text", job=JOB),
    errors.TerminationError("text", job_id="a", operation="TerminateJob", code="AccessDenied"),
    errors.BulkError("text", [errors.TerminationError("one", job_id="a")]),
    errors.SubmitUncertainError("text", job_name="nightly"),
    errors.ClientClosedError("text"),
]


def public_errors() -> Iterator[type[errors.AwaitBatchError]]:
    """The error classes of the module that have a public name."""
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.AwaitBatchError) and not name.startswith("_"):
            yield value


def drawn_tree() -> dict[str, str]:
    """The tree at the top of the module: each class, and what is said beside it."""
    assert errors.__doc__ is not None
    return dict(re.findall(r"[├└]── (\w+)(.*)", errors.__doc__))


def class_name(value: object) -> str:
    """What a test is called for this error."""
    return type(value).__name__


def test_the_tree_is_drawn_whole() -> None:
    """The tree at the top of the file has every class, and none that there is not."""
    assert drawn_tree().keys() | {"AwaitBatchError"} == {error.__name__ for error in public_errors()}


def test_every_error_is_exported() -> None:
    """Users find every error beside the client."""
    for error in public_errors():
        assert getattr(awaitbatch, error.__name__) is error


def test_one_base_for_all() -> None:
    """Who catches AwaitBatchError catches all, and no error is the base of another."""
    for error in public_errors():
        bases = {base for base in public_errors() if issubclass(error, base)}
        assert bases == {error, errors.AwaitBatchError}


def test_a_bad_id_is_a_value_error() -> None:
    """A bad id is a ValueError as the tree says, and nothing else is."""
    value_errors = [error.__name__ for error in public_errors() if issubclass(error, ValueError)]
    assert value_errors == ["InvalidJobIdError"]
    assert "ValueError" in drawn_tree()["InvalidJobIdError"]


def test_there_is_an_example_of_each() -> None:
    """The tests below leave none out."""
    assert {type(example) for example in EXAMPLES} == set(public_errors())


@pytest.mark.parametrize("error", EXAMPLES, ids=class_name)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(error: errors.AwaitBatchError, protocol: int) -> None:
    """An error crosses process borders whole: class, text and all that it carries."""
    twin = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    assert type(twin) is type(error)
    assert str(twin) == str(error) == "text"
    assert vars(twin) == vars(error)


def arguments_of(error: type[errors.AwaitBatchError], *text: str) -> tuple[Any, ...]:
    """What an error is made with besides keywords: its text, and if it is a group, the errors in it."""
    if issubclass(error, ExceptionGroup):
        return (*(text or ("",)), [errors.JobFailedError("one")])
    return text


def all_errors(
    base: type[errors.AwaitBatchError] = errors.AwaitBatchError,
) -> list[type[errors.AwaitBatchError]]:
    """The error classes of the whole package, also those that no module has by a public name."""
    derived = [error for one in base.__subclasses__() for error in all_errors(one)]
    return [base, *(error for error in derived if error.__module__.startswith("awaitbatch."))]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_pickling_all_that_an_error_can_carry(error: type[errors.AwaitBatchError]) -> None:
    """Whatever an error is made with is there on the other side, with its notes, and what is read from it."""
    values: dict[str, Any] = {
        name: {"jobId": "a", "status": "FAILED", "n": [name]} if name == "job" else f"{name} of the error"
        for name, parameter in inspect.signature(error.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    made = error(*arguments_of(error, "text"), **values)
    made.add_note("a note")
    twin = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert (type(twin), twin.args[0], twin.__notes__) == (error, "text", ["a note"])
    assert {name: getattr(twin, name) for name in values} == values
    properties = [name for name, member in inspect.getmembers(error) if isinstance(member, property)]
    assert [getattr(twin, name) for name in properties] == [getattr(made, name) for name in properties]


@pytest.mark.parametrize("error", EXAMPLES, ids=class_name)
def test_copying(error: errors.AwaitBatchError) -> None:
    """A copied error is whole as well."""
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert (type(twin), str(twin), vars(twin)) == (type(error), "text", vars(error))


@pytest.mark.parametrize("error", list(public_errors()), ids=lambda error: error.__name__)
def test_errors_can_be_made_bare(error: type[errors.AwaitBatchError]) -> None:
    """Users' tests can raise any error without arguments, but for a group, in which there is another one."""
    assert str(error(*arguments_of(error))) == ""


class TestFailedJob:
    """What JobFailedError says of the job."""

    def test_a_whole_description(self) -> None:
        """Cause, reason, attempts and id are read from the description."""
        error = errors.JobFailedError("text", job=JOB)
        assert (dict(error.job), error.job_id) == (JOB, "a")
        assert (error.cause, error.exit_code) == (awaitbatch.FailureCause.UNKNOWN, None)
        assert (error.reason, error.attempts) == ("Essential container in task exited", [{}])

    def test_eks(self) -> None:
        """Attempts on Amazon EKS are attempts."""
        job = {"attempts": [], "eksAttempts": [{"podName": "p"}]}
        assert errors.JobFailedError(job=job).attempts == [{"podName": "p"}]

    def test_no_description(self) -> None:
        """Without a description nothing raises."""
        error = errors.JobFailedError("text")
        assert (dict(error.job), error.job_id, error.reason, error.attempts) == ({}, "", None, [])
        assert (error.cause, error.exit_code) == (awaitbatch.FailureCause.UNKNOWN, None)

    def test_from_a_description(self) -> None:
        """What is made of a description crosses process borders with its cause, exit code and reason."""
        reason = "OutOfMemoryError: Container killed"
        container = {"exitCode": 137, "reason": reason}
        error = errors.JobFailedError.from_job({**JOB, "container": container})
        twin = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (str(twin), twin.job) == (str(error), error.job)
        assert (twin.cause, twin.exit_code, twin.reason) == ("out_of_memory", 137, reason)

    def test_the_description_is_its_own(self) -> None:
        """What happens to the caller's dict afterwards does not change the error."""
        job: dict[str, Any] = {"jobId": "a"}
        error = errors.JobNotCompleteError(job=job)
        job["jobId"] = "b"
        assert error.job_id == "a"


def result(
    outcome: Outcome,
    *,
    item: bytes | None = None,
    last_status: str | None = None,
    checks: int = 0,
    absences: int = 0,
    failures: int = 0,
) -> WaitResult:
    """How a watch for job a-1 ended after all this."""
    watch = Watch(
        "a-1",
        lambda *_: None,
        match_status={"SUCCEEDED"},
        max_retries=math.inf,
        status_retries=10,
        backoff=FixedInterval(1),
    )
    watch.last_status = last_status
    watch.checks, watch.absences, watch.failures = checks, absences, failures
    return WaitResult(watch, outcome, item)


def raised(ended: WaitResult) -> Exception:
    """The error that a result raises."""
    try:
        ended.description()
    except Exception as error:  # noqa: BLE001
        return error
    pytest.fail(f"{ended} raised nothing")


def failed(message: str = "no", error: Exception | None = None) -> Failure:
    """A call that failed for good."""
    return Failure(FailureKind.PERMANENT, "AccessDeniedException", 403, message, error)


class TestResults:
    """How a wait that ended reaches its caller."""

    def test_seen_as_awaited(self) -> None:
        """The description is decoded when somebody wants it."""
        ended = result(MATCHED, item=b'{"jobId":"a-1","status":"SUCCEEDED","stoppedAt":null}')
        assert dict(ended.description()) == {"jobId": "a-1", "status": "SUCCEEDED"}
        assert not ended.is_error

    def test_unreadable(self) -> None:
        """A description that cannot be read is an error of the description, not a wrong answer."""
        with pytest.raises(errors.DescribeError, match=r"a-1.*unreadable") as caught:
            result(MATCHED, item=rb'{"statusReason":"\ud800"}').description()
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_never_seen(self) -> None:
        """Who waits for a job that never appears reads its id, that it was never seen, and what to check."""
        ended = result(Outcome(Reason.ABSENT), absences=10)
        error = raised(ended)
        assert isinstance(error, errors.JobNotFoundError)
        assert (error.job_id, error.seen) == ("a-1", False)
        assert "(a-1)" in str(error)
        assert "never seen" in str(error)
        assert "10 answers" in str(error)
        assert not ended.is_error

    def test_seen_and_gone(self) -> None:
        """A job that was seen and has vanished is distinguished from one that never was."""
        error = raised(result(Outcome(Reason.ABSENT), absences=10, last_status="RUNNING"))
        assert isinstance(error, errors.JobNotFoundError)
        assert error.seen
        assert "(a-1)" in str(error)
        assert "vanished" in str(error)
        assert "RUNNING" in str(error)

    def test_unreachable(self) -> None:
        """Who waits for what can never come reads how the job ended, and what it will never be."""
        error = raised(result(Outcome(Reason.UNREACHABLE), last_status="FAILED"))
        assert isinstance(error, errors.StatusUnreachableError)
        assert (error.job_id, error.status, error.awaited) == ("a-1", "FAILED", ("SUCCEEDED",))
        assert "(a-1) has ended as FAILED and will never be SUCCEEDED" in str(error)

    @pytest.mark.parametrize("cause", [None, TimeoutError("slow")], ids=["checks", "a failure"])
    def test_exhausted(self, cause: Exception | None) -> None:
        """The error keeps Airflow's phrase, names the job, counts the checks and has the last failure as its cause."""
        failure = failed("slow", cause) if cause else None
        ended = result(Outcome(Reason.EXHAUSTED, failure), checks=5, last_status="RUNNABLE")
        error = raised(ended)
        assert isinstance(error, errors.MaxRetriesExceededError)
        assert (error.job_id, error.checks, error.last_status) == ("a-1", 5, "RUNNABLE")
        assert "status checks exceed max_retries" in str(error)
        assert "(a-1)" in str(error)
        assert "RUNNABLE" in str(error)
        assert error.__cause__ is cause
        assert ended.is_error

    def test_exhausted_unseen(self) -> None:
        """A wait that never saw the job says so."""
        error = raised(result(Outcome(Reason.EXHAUSTED), checks=1))
        assert "never seen" in str(error)

    def test_failed(self) -> None:
        """The error carries code and status, quotes the cause, and names the job."""
        cause = RuntimeError("User is not authorized")
        ended = result(Outcome(Reason.FAILED, failed(str(cause), cause)), checks=3)
        error = raised(ended)
        assert isinstance(error, errors.DescribeError)
        assert (error.job_id, error.code, error.http_status) == ("a-1", "AccessDeniedException", 403)
        assert "(a-1)" in str(error)
        assert "User is not authorized" in str(error)
        assert "after 3 checks" in str(error)
        assert error.__cause__ is cause
        assert ended.is_error

    def test_broken(self) -> None:
        """What the user's own backoff raised is raised as it is."""
        cause = LookupError("mine")
        assert raised(result(Outcome(Reason.BROKEN, failed("mine", cause)))) is cause

    def test_closed(self) -> None:
        """A wait that the client's end cut off names the job."""
        error = raised(result(Outcome(Reason.CLOSED)))
        assert isinstance(error, errors.ClientClosedError)
        assert "(a-1)" in str(error)

    @pytest.mark.parametrize("reason", [Reason.MATCHED, Reason.FAILED, Reason.BROKEN])
    def test_impossible(self, reason: Reason) -> None:
        """A result that cannot be is a bug that shows itself, not a wrong answer."""
        assert isinstance(raised(result(Outcome(reason))), RuntimeError)
