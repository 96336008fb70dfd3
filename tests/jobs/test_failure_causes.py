"""Why a job failed, in every shape of a description."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awaitbatch import FailureCause, JobFailedError
from awaitbatch._failure_causes import explain_failure

EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
OOM = "OutOfMemoryError: Container killed due to memory usage"
PULL = "CannotPullContainerError: pull image manifest has been retried 5 time(s): not found"
HOST = "Host EC2 (instance i-0123456789abcdef0) terminated."
SPOT = "Your Spot Task was interrupted."
TIMEOUT = "Job attempt duration exceeded timeout"
LOG = {"logStreamName": "worker/default/0123"}
OF_LOG = "its log: worker/default/0123 in /aws/batch/job"
IN_JOB = "all that AWS Batch says of it is in the error's attribute job"
NO_LOG = "it has no CloudWatch log that AWS Batch knows of, so look where its containers write"


def failed(status_reason: Any = EXITED, **members: Any) -> dict[str, Any]:
    """A job that failed."""
    return {"jobId": "j", "status": "FAILED", "statusReason": status_reason, **members}


def ran(
    status_reason: Any = EXITED, container: Any = None, attempts: int = 1, **members: Any
) -> dict[str, Any]:
    """A job of one container that failed after so many attempts, of which the last ended like this."""
    ended = {**LOG, **(container or {})}
    past = [{"container": {**LOG, "exitCode": 99, "reason": PULL}, "statusReason": HOST}] * (attempts - 1)
    last = {"container": ended, "statusReason": status_reason}
    return failed(status_reason, container={"image": "i", **ended}, attempts=[*past, last], **members)


def tasks(*containers: dict[str, Any]) -> list[dict[str, Any]]:
    """Amazon ECS tasks of these containers."""
    return [{"taskArn": "arn", "containers": list(containers)}]


def on_ecs(*containers: dict[str, Any], status_reason: str = EXITED) -> dict[str, Any]:
    """A job of several containers that failed; the attempt has how each ended."""
    ended = [{key: value for key, value in each.items() if key != "essential"} for each in containers]
    return failed(
        status_reason,
        container={},
        ecsProperties={"taskProperties": tasks(*({**each, **LOG} for each in containers))},
        attempts=[{"taskProperties": tasks(*ended), "statusReason": status_reason}],
    )


def on_eks(*containers: dict[str, Any], init: Any = (), status_reason: Any = None) -> dict[str, Any]:
    """A job on Amazon EKS that failed."""
    attempt = {"containers": list(containers), "initContainers": list(init), "statusReason": status_reason}
    pod = {"containers": [{"name": each.get("name"), "image": "i"} for each in containers]}
    return failed(status_reason, attempts=[], eksAttempts=[attempt], eksProperties={"podProperties": pod})


def on_nodes(status_reason: str, container: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A multi-node parallel job that failed, which has the attempts of its main node."""
    group = {"targetNodes": "0:3", "container": {"image": "i"}}
    nodes = {"numNodes": 4, "mainNode": 0, "nodeRangeProperties": [group]}
    attempts = [{"container": {**LOG, **container}, "statusReason": status_reason}]
    return failed(status_reason, nodeProperties=nodes, attempts=attempts, **members)


def array(status_reason: Any = "Array Child Job failed", size: Any = 200, **counts: Any) -> dict[str, Any]:
    """The parent of an array that failed."""
    properties = {"size": size, "statusSummary": counts}
    return failed(status_reason, attempts=[], container={}, arrayProperties=properties)


C = FailureCause

CASES: list[tuple[str, dict[str, Any], FailureCause, int | None, str | None, str]] = [
    # One container.
    (
        "exit code",
        ran(container={"exitCode": 3}),
        C.EXIT_CODE,
        3,
        EXITED,
        f" after 1 attempt: exit code 3; {OF_LOG}",
    ),
    (
        "exit code with a reason",
        ran(container={"exitCode": 1, "reason": "Error: no such key."}),
        C.EXIT_CODE,
        1,
        "Error: no such key.",
        f" after 1 attempt: exit code 1 (Error: no such key); {OF_LOG}",
    ),
    (
        "the last attempt decides",
        ran(container={"exitCode": 127}, attempts=3),
        C.EXIT_CODE,
        127,
        EXITED,
        f" after 3 attempts: exit code 127 (its command was not found); {OF_LOG}",
    ),
    (
        "killed without a reason",
        ran(container={"exitCode": 137}),
        C.EXIT_CODE,
        137,
        EXITED,
        f" after 1 attempt: exit code 137 (killed by SIGKILL, often for lack of memory); {OF_LOG}",
    ),
    (
        "only the job itself has the exit code",
        failed(container={"exitCode": 5}, attempts=[{"statusReason": EXITED}]),
        C.EXIT_CODE,
        5,
        EXITED,
        f" after 1 attempt: exit code 5; {NO_LOG}",
    ),
    (
        "out of memory",
        ran(container={"exitCode": 137, "reason": OOM}, attempts=2),
        C.OUT_OF_MEMORY,
        137,
        OOM,
        f" after 2 attempts: out of memory, exit code 137 ({OOM}); give it more memory, {OF_LOG}",
    ),
    (
        "out of memory without a log",
        failed(container={"exitCode": 137, "reason": OOM}, attempts=[{}]),
        C.OUT_OF_MEMORY,
        137,
        OOM,
        f" after 1 attempt: out of memory, exit code 137 ({OOM}); give it more memory",
    ),
    (
        "host lost",
        ran(HOST, {"reason": "DockerTimeoutError: Could not transition to stopped"}),
        C.HOST_LOST,
        None,
        HOST,
        (
            f" after 1 attempt: its host was lost ({HOST.rstrip('.')}); "
            "submit it again, or give it a retry strategy"
        ),
    ),
    (
        "host lost, by exit code 137",
        ran(SPOT, {"exitCode": 137}),
        C.HOST_LOST,
        137,
        SPOT,
        (
            " after 1 attempt: its host was lost, exit code 137 (Your Spot Task was interrupted); "
            "submit it again, or give it a retry strategy"
        ),
    ),
    (
        "timeout",
        ran(TIMEOUT, {"exitCode": 137}, timeout={"attemptDurationSeconds": 3600}),
        C.TIMEOUT,
        137,
        TIMEOUT,
        (
            " after 1 attempt: it took longer than its timeout of 3600 s, exit code 137; "
            f"raise its timeout, or find out what took so long, {OF_LOG}"
        ),
    ),
    (
        "timeout of a job that ran out of memory as it was stopped",
        ran(TIMEOUT, {"reason": OOM}),
        C.TIMEOUT,
        None,
        TIMEOUT,
        (
            " after 1 attempt: it took longer than its timeout; "
            f"raise its timeout, or find out what took so long, {OF_LOG}"
        ),
    ),
    (
        "image",
        ran(NOT_STARTED, {"reason": PULL}),
        C.IMAGE,
        None,
        PULL,
        (
            f" after 1 attempt: its image could not be pulled ({PULL}); check the image's name, the right to pull it, "
            "and the network and the disk of the host"
        ),
    ),
    (
        "not started",
        ran(NOT_STARTED, {"exitCode": 127, "reason": "CannotStartContainerError: exec: no such file"}),
        C.NOT_STARTED,
        127,
        "CannotStartContainerError: exec: no such file",
        (
            " after 1 attempt: it could not be started, exit code 127 (CannotStartContainerError: exec: no such file); "
            "fix what is wrong and submit it again"
        ),
    ),
    (
        "not started, says only AWS Batch",
        ran(NOT_STARTED),
        C.NOT_STARTED,
        None,
        NOT_STARTED,
        " after 1 attempt: it could not be started; fix what is wrong and submit it again",
    ),
    (
        "never placed",
        failed("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", attempts=[], isCancelled=True),
        C.NOT_STARTED,
        None,
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        (
            " before its first attempt: it could not be started (MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT); "
            "fix what is wrong and submit it again"
        ),
    ),
    (
        "given up by its queue",
        failed("Canceled by JobStateTimeLimit action: CAPACITY:INSUFFICIENT_INSTANCE", isCancelled=True),
        C.NOT_STARTED,
        None,
        "Canceled by JobStateTimeLimit action: CAPACITY:INSUFFICIENT_INSTANCE",
        (
            " before its first attempt: it could not be started (Canceled by JobStateTimeLimit action: "
            "CAPACITY:INSUFFICIENT_INSTANCE); fix what is wrong and submit it again"
        ),
    ),
    (
        "never started for what nobody foresaw",
        failed("Cannot find the job definition"),
        C.NOT_STARTED,
        None,
        "Cannot find the job definition",
        (
            " before its first attempt: it could not be started (Cannot find the job definition); "
            "fix what is wrong and submit it again"
        ),
    ),
    (
        "dependency",
        failed("Dependent Job failed", dependsOn=[{"jobId": name} for name in "abcd"]),
        C.DEPENDENCY,
        None,
        "Dependent Job failed",
        " before its first attempt: a job that it depends on failed; find out why that one failed: a, b, c",
    ),
    (
        "dependency that is not named",
        failed("Dependent Job failed"),
        C.DEPENDENCY,
        None,
        "Dependent Job failed",
        " before its first attempt: a job that it depends on failed; find out why that one failed",
    ),
    (
        "terminated as it ran",
        ran("stopped by alice", {"exitCode": 137, "reason": OOM}, isTerminated=True),
        C.TERMINATED,
        137,
        "stopped by alice",
        (
            " after 1 attempt: somebody terminated it, exit code 137 (stopped by alice); "
            "submit it again if it is still wanted"
        ),
    ),
    (
        "terminated before it ran, which cancels it too",
        failed("stopped by alice", isTerminated=True, isCancelled=True),
        C.TERMINATED,
        None,
        "stopped by alice",
        (
            " before its first attempt: somebody terminated it (stopped by alice); "
            "submit it again if it is still wanted"
        ),
    ),
    (
        "terminated with a reason that reads like one of AWS",
        ran(TIMEOUT, {"exitCode": 143}, isTerminated=True),
        C.TERMINATED,
        143,
        TIMEOUT,
        (" after 1 attempt: somebody terminated it, exit code 143; submit it again if it is still wanted"),
    ),
    (
        "cancelled",
        failed("not needed", isCancelled=True),
        C.CANCELLED,
        None,
        "not needed",
        " before its first attempt: somebody cancelled it (not needed); submit it again if it is still wanted",
    ),
    (
        "cancelled between two attempts",
        failed(
            "not needed", isCancelled=True, attempts=[{"container": {"exitCode": 1}, "statusReason": EXITED}]
        ),
        C.CANCELLED,
        1,
        "not needed",
        (
            " after 1 attempt: somebody cancelled it, exit code 1 (not needed); "
            "submit it again if it is still wanted"
        ),
    ),
    (
        "cancelled too late",
        ran(EXITED, {"exitCode": 3}, isCancelled=True),
        C.EXIT_CODE,
        3,
        EXITED,
        f" after 1 attempt: exit code 3; {OF_LOG}",
    ),
    (
        "no reason at all",
        failed(None, attempts=[{}, {}]),
        C.UNKNOWN,
        None,
        None,
        f" after 2 attempts: AWS Batch gives no reason; {IN_JOB}",
    ),
    (
        "a reason that nobody foresaw",
        ran("The moon was in the way.", {"exitCode": 0}),
        C.UNKNOWN,
        0,
        "The moon was in the way.",
        f" after 1 attempt: The moon was in the way, exit code 0; {IN_JOB}, {OF_LOG}",
    ),
    # Several containers on Amazon ECS.
    (
        "ECS: the container that failed is named",
        on_ecs({"name": "main", "exitCode": 2}, {"name": "side", "exitCode": 0}),
        C.EXIT_CODE,
        2,
        EXITED,
        f" after 1 attempt: exit code 2 of container 'main'; {OF_LOG}",
    ),
    (
        "ECS: those that were stopped after it are not to blame",
        on_ecs(
            {"name": "side", "exitCode": 143},
            {"name": "log", "exitCode": 137},
            {"name": "main", "exitCode": 2},
        ),
        C.EXIT_CODE,
        2,
        EXITED,
        f" after 1 attempt: exit code 2 of container 'main'; {OF_LOG}",
    ),
    (
        "ECS: one that is not essential is not to blame",
        on_ecs(
            {"name": "side", "exitCode": 4, "essential": False},
            {"name": "main", "exitCode": 137, "reason": OOM},
        ),
        C.OUT_OF_MEMORY,
        137,
        OOM,
        (
            f" after 1 attempt: out of memory in container 'main', exit code 137 ({OOM}); "
            f"give it more memory, {OF_LOG}"
        ),
    ),
    (
        "ECS: image",
        on_ecs({"name": "main"}, {"name": "side", "reason": PULL}, status_reason=NOT_STARTED),
        C.IMAGE,
        None,
        PULL,
        (
            f" after 1 attempt: the image of container 'side' could not be pulled ({PULL}); check the image's name, "
            "the right to pull it, and the network and the disk of the host"
        ),
    ),
    (
        "ECS: a single one needs no name",
        on_ecs({"name": "main", "exitCode": 2}),
        C.EXIT_CODE,
        2,
        EXITED,
        f" after 1 attempt: exit code 2; {OF_LOG}",
    ),
    # Amazon EKS.
    (
        "EKS: exit code",
        on_eks({"name": "default", "exitCode": 1, "reason": "Error"}),
        C.EXIT_CODE,
        1,
        "Error",
        f" after 1 attempt: exit code 1; {NO_LOG}",
    ),
    (
        "EKS: containers without names",
        on_eks({"exitCode": 0, "reason": "Completed"}, {"exitCode": 8, "reason": "Error"}),
        C.EXIT_CODE,
        8,
        "Error",
        f" after 1 attempt: exit code 8; {NO_LOG}",
    ),
    (
        "EKS: out of memory",
        on_eks({"name": "default", "exitCode": 137, "reason": "OOMKilled"}),
        C.OUT_OF_MEMORY,
        137,
        "OOMKilled",
        " after 1 attempt: out of memory, exit code 137 (OOMKilled); give it more memory",
    ),
    (
        "EKS: image",
        on_eks({"name": "default", "reason": 'ImagePullBackOff: Back-off pulling image "x"'}),
        C.IMAGE,
        None,
        'ImagePullBackOff: Back-off pulling image "x"',
        (
            ' after 1 attempt: its image could not be pulled (ImagePullBackOff: Back-off pulling image "x"); '
            "check the image's name, the right to pull it, and the network and the disk of the host"
        ),
    ),
    (
        "EKS: an init container",
        on_eks(
            {"name": "main"},
            init=[{"name": "fetch", "exitCode": 22, "reason": "Error"}],
            status_reason="Pod failed",
        ),
        C.EXIT_CODE,
        22,
        "Pod failed",
        f" after 1 attempt: exit code 22 of container 'fetch' (Pod failed); {NO_LOG}",
    ),
    (
        "EKS: host lost",
        on_eks({"name": "default", "exitCode": 143, "reason": "Error"}, status_reason=HOST),
        C.HOST_LOST,
        143,
        HOST,
        (
            f" after 1 attempt: its host was lost, exit code 143 ({HOST.rstrip('.')}); "
            "submit it again, or give it a retry strategy"
        ),
    ),
    (
        "EKS: the job itself has how it ended",
        failed(
            None,
            eksProperties={"podProperties": {"containers": [{"name": "x", "exitCode": 9}]}},
            eksAttempts=[{}],
        ),
        C.EXIT_CODE,
        9,
        None,
        f" after 1 attempt: exit code 9; {NO_LOG}",
    ),
    # Multi-node parallel jobs.
    (
        "nodes: the main node decides",
        on_nodes(EXITED, {"exitCode": 1}),
        C.EXIT_CODE,
        1,
        EXITED,
        f" after 1 attempt: exit code 1 of the main node; {OF_LOG}",
    ),
    (
        "nodes: out of memory",
        on_nodes(EXITED, {"exitCode": 137, "reason": OOM}),
        C.OUT_OF_MEMORY,
        137,
        OOM,
        (
            f" after 1 attempt: out of memory in the main node, exit code 137 ({OOM}); "
            f"give it more memory, {OF_LOG}"
        ),
    ),
    (
        "nodes: several containers",
        on_nodes(EXITED, {})
        | {
            "attempts": [
                {"taskProperties": tasks({"name": "a", "exitCode": 0}, {"name": "b", "exitCode": 6})}
            ]
        },
        C.EXIT_CODE,
        6,
        EXITED,
        f" after 1 attempt: exit code 6 of container 'b' of the main node; {NO_LOG}",
    ),
    (
        "nodes: one node is a job of its own",
        on_nodes(EXITED, {"exitCode": 1}, nodeDetails={"nodeIndex": 2, "isMainNode": False}),
        C.EXIT_CODE,
        1,
        EXITED,
        f" after 1 attempt: exit code 1; {OF_LOG}",
    ),
    # Arrays.
    (
        "array",
        array(FAILED=3, SUCCEEDED=197),
        C.CHILDREN,
        None,
        "Array Child Job failed",
        (
            ": 3 of 200 children failed; list_jobs(array_job_id=…, statuses=['FAILED']) names them, "
            "and check_job_success says why each failed"
        ),
    ),
    (
        "array whose counts are late",
        array(None, FAILED=0, RUNNING=200),
        C.CHILDREN,
        None,
        None,
        (
            ": some of its 200 children failed; list_jobs(array_job_id=…, statuses=['FAILED']) names them, "
            "and check_job_success says why each failed"
        ),
    ),
    (
        "array that depends on another job",
        array("Dependent Job failed", FAILED=200),
        C.DEPENDENCY,
        None,
        "Dependent Job failed",
        ": a job that it depends on failed; find out why that one failed",
    ),
    (
        "array that was terminated",
        array("enough", FAILED=7, SUCCEEDED=193) | {"isTerminated": True},
        C.TERMINATED,
        None,
        "enough",
        (": somebody terminated it (enough); submit it again if it is still wanted"),
    ),
    (
        "child of an array",
        ran(container={"exitCode": 3}, arrayProperties={"index": 0, "statusSummary": {}}),
        C.EXIT_CODE,
        3,
        EXITED,
        f" after 1 attempt: exit code 3; {OF_LOG}",
    ),
    # What is not as AWS documents it.
    (
        "numbers as texts",
        ran(container={"exitCode": "137", "reason": OOM}),
        C.OUT_OF_MEMORY,
        137,
        OOM,
        f" after 1 attempt: out of memory, exit code 137 ({OOM}); give it more memory, {OF_LOG}",
    ),
    (
        "numbers without end",
        array(FAILED=10**5000, size=10**5000),
        C.CHILDREN,
        None,
        "Array Child Job failed",
        (
            ": children of it failed; list_jobs(array_job_id=…, statuses=['FAILED']) names them, "
            "and check_job_success says why each failed"
        ),
    ),
    (
        "a list for a text",
        failed(["x"], attempts=[{"container": {"exitCode": [1], "reason": {"a": 1}}}], isTerminated="no"),
        C.UNKNOWN,
        None,
        None,
        f" after 1 attempt: AWS Batch gives no reason; {IN_JOB}",
    ),
    ("nothing", {}, C.UNKNOWN, None, None, f" before its first attempt: AWS Batch gives no reason; {IN_JOB}"),
]


@pytest.mark.parametrize(
    ("job", "cause", "exit_code", "reason", "text"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_why_a_job_failed(
    job: dict[str, Any], cause: FailureCause, exit_code: int | None, reason: str | None, text: str
) -> None:
    """The error names the cause, the exit code and what AWS says, and its text is one sentence with an advice."""
    error = JobFailedError.from_job(job)
    assert (error.cause, error.exit_code, error.reason) == (cause, exit_code, reason)
    assert str(error) == f"AWS Batch job ({job.get('jobId', '')}) failed{text}"
    assert error.job == job


def test_every_cause_has_a_case() -> None:
    """The table above leaves no cause out."""
    assert {case[2] for case in CASES} == set(FailureCause)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("OutOfMemoryError: Container killed due to memory usage", C.OUT_OF_MEMORY),
        ("OutOfMemory: Container killed due to memory usage", C.OUT_OF_MEMORY),
        ("OOMKilled", C.OUT_OF_MEMORY),
        ("CannotPullContainerError: context canceled", C.IMAGE),
        ("CannotPullECRContainerError: AccessDenied", C.IMAGE),
        ("CannotPullImageManifestError: Error response from daemon", C.IMAGE),
        ("ErrImagePull", C.IMAGE),
        ("ImagePullBackOff", C.IMAGE),
        ("CannotInspectContainerError: Could not transition to inspecting; timed out", C.NOT_STARTED),
        ("CannotCreateContainerError: API error", C.NOT_STARTED),
        ("ResourceInitializationError: unable to pull secrets or registry auth", C.NOT_STARTED),
        ("DockerTimeoutError: Could not transition to created", C.NOT_STARTED),
        ("CannotCreateVolumeError: Get efs timed out", C.NOT_STARTED),
        ("CreateContainerConfigError", C.NOT_STARTED),
        ("an OutOfMemoryish thing", C.OUT_OF_MEMORY),
        ("NoOOMKilledHere", C.UNKNOWN),
    ],
)
def test_reasons_of_containers(reason: str, cause: FailureCause) -> None:
    """What a container says of its end tells the cause, in a container's reason as in a statusReason."""
    assert explain_failure(ran(container={"reason": reason})).cause is cause
    assert explain_failure(ran(f"Task failed: {reason}")).cause is cause


@pytest.mark.parametrize(
    "reason",
    [
        "Timeout waiting for network interface provisioning to complete.",
        "Timeout waiting for EphemeralStorage provisioning to complete.",
        "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1'",
    ],
)
def test_reasons_of_tasks_that_got_no_place(reason: str) -> None:
    """AWS Fargate had none, though AWS Batch has an attempt on record; a container that says so means its own work."""
    assert explain_failure(ran(reason)).cause is C.NOT_STARTED
    assert explain_failure(ran(container={"exitCode": 1, "reason": f"app: {reason}"})).cause is C.EXIT_CODE


def test_a_job_that_its_queue_has_terminated_was_terminated_by_nobody() -> None:
    """AWS Batch marks it as terminated all the same, and its text begins like this; others may end theirs so."""
    text = "Terminated by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    assert explain_failure(failed(text, isTerminated=True)).cause is C.NOT_STARTED
    assert explain_failure(failed(f"alice: {text}", isTerminated=True)).cause is C.TERMINATED


def test_hostile_texts_stay_in_their_line() -> None:
    """Names, ids and reasons that others wrote break no line, in the text or in `reason`."""
    hostile = "x\n2026 CRITICAL forged\r\x1b[31m\u202e" + "x" * 10_000
    jobs = [
        failed(hostile, jobId=hostile),
        ran(container={"exitCode": 1, "reason": hostile}),
        on_ecs({"name": hostile, "exitCode": 1}, {"name": "b"}),
        failed("Dependent Job failed", dependsOn=[{"jobId": hostile}]),
        failed(hostile, isTerminated=True),
    ]
    for job in jobs:
        error = JobFailedError.from_job(job)
        assert str(error).isprintable()
        assert len(str(error)) < 1500
        assert (error.reason or "").isprintable()


MEMBERS = st.sampled_from(
    [
        "jobId",
        "status",
        "statusReason",
        "container",
        "exitCode",
        "reason",
        "attempts",
        "taskProperties",
        "containers",
        "name",
        "essential",
        "ecsProperties",
        "eksProperties",
        "podProperties",
        "initContainers",
        "eksAttempts",
        "arrayProperties",
        "size",
        "statusSummary",
        "FAILED",
        "nodeProperties",
        "nodeDetails",
        "mainNode",
        "nodeRangeProperties",
        "targetNodes",
        "dependsOn",
        "isTerminated",
        "isCancelled",
        "timeout",
        "attemptDurationSeconds",
        "logStreamName",
        "logConfiguration",
        "options",
        "logDriver",
    ]
)
TEXTS = st.sampled_from(
    [EXITED, NOT_STARTED, OOM, PULL, HOST, SPOT, TIMEOUT, "137", "0:", "main", "", "\ud83d"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.builds(lambda: 10**5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(job=st.dictionaries(MEMBERS, VALUES, max_size=8))
def test_no_shape_raises(job: dict[str, Any]) -> None:
    """Whatever AWS sends, there is an error with a text of one line, and a cause."""
    error = JobFailedError.from_job(job)
    assert str(error).isprintable()
    assert isinstance(error.cause, FailureCause)
    assert error.exit_code is None or isinstance(error.exit_code, int)
    assert error.reason is None or error.reason.isprintable()
    assert all(isinstance(attempt, dict) for attempt in error.attempts)
