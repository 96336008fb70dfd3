"""Operators and sensors: the provider's, which defer to our triggers and are told by them of the job."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.triggers import batch as provider
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowNotFoundException,
    AirflowSkipException,
    TaskDeferred,
)

from awaitbatch.integrations import airflow as ours
from awaitbatch.integrations.airflow import operators
from awaitbatch.integrations.airflow._brief import brief_of

if TYPE_CHECKING:
    from collections.abc import Callable

JOB_ID = "8ba9d676-4108-4474-9dca-8bbac1da9b19"
CONNECTION: dict[str, Any] = {
    "aws_conn_id": "aws",
    "region_name": "eu-west-1",
    "verify": "/bundle.pem",
    "botocore_config": {"read_timeout": 7},
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What all hooks of the provider's call."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS", "aws://x:y@/?region_name=us-east-1")
    client = Mock()
    client.meta = SimpleNamespace(region_name="eu-west-1", partition="aws")
    client.submit_job.return_value = {"jobId": JOB_ID, "jobName": "job"}
    client.describe_jobs.return_value = {"jobs": [description("RUNNABLE")]}
    monkeypatch.setattr(BatchClientHook, "conn", client)
    monkeypatch.setattr(BatchClientHook, "conn_region_name", "eu-west-1")
    monkeypatch.setattr(BatchClientHook, "conn_partition", "aws")
    return client


def description(status: str) -> dict[str, Any]:
    """A job as AWS describes it."""
    return {
        "jobId": JOB_ID,
        "jobName": "job",
        "status": status,
        "jobDefinition": "arn:aws:batch:eu-west-1:123456789012:job-definition/definition:1",
        "jobQueue": "arn:aws:batch:eu-west-1:123456789012:job-queue/queue",
        "container": {
            "command": ["true"],
            "environment": [{"name": "SECRET", "value": "secret"}],
            "exitCode": 0,
            "logStreamName": "stream",
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "group", "else": 1}},
        },
        "attempts": [
            {"container": {"exitCode": 0, "logStreamName": "stream", "taskArn": "arn"}, "startedAt": 1}
        ],
        "tags": {},
    }


def context_of(xcom: Any = None) -> Any:
    """What a worker gives to a task."""
    return {"ti": Mock(task_id="task", map_index=-1, xcom_pull=Mock(return_value=xcom))}


def make_operator(**arguments: Any) -> ours.BatchOperator:
    """A deferrable operator."""
    given = {
        "task_id": "task",
        "job_name": "job",
        "job_queue": "queue",
        "job_definition": "definition",
        "deferrable": True,
        **CONNECTION,
    }
    return ours.BatchOperator(**given | arguments)


def make_environment_operator(**arguments: Any) -> ours.BatchCreateComputeEnvironmentOperator:
    """A deferrable operator that creates a compute environment."""
    given = {
        "task_id": "task",
        "compute_environment_name": "name",
        "environment_type": "MANAGED",
        "state": "ENABLED",
        "compute_resources": {},
        "deferrable": True,
        **CONNECTION,
    }
    return ours.BatchCreateComputeEnvironmentOperator(**given | arguments)


def execute(task: Any) -> Any:
    """Run a task as a worker of Airflow 2 does; one of Airflow 3 is content with less."""
    return task.execute(context_of(), **{f"{type(task).__name__}__sentinel": object()})


def deferred(function: Callable[..., Any], *arguments: Any) -> TaskDeferred:
    """What the task is deferred with."""
    with pytest.raises(TaskDeferred) as raised:
        function(*arguments)
    return raised.value


def test_the_operator_defers_to_our_trigger(client: Mock) -> None:
    """With all that the provider's trigger is given."""
    how = deferred(execute, make_operator(poll_interval=7, max_retries=9))
    client.submit_job.assert_called_once()
    path, arguments = how.trigger.serialize()
    assert path == "awaitbatch.integrations.airflow.triggers.BatchJobTrigger"
    assert arguments == {"job_id": JOB_ID, "waiter_delay": 7, "waiter_max_attempts": 9, **CONNECTION}
    assert how.method_name == "execute_complete"


def test_an_operator_that_leaves_its_job_alone(client: Mock) -> None:
    """Its trigger does, too."""
    how = deferred(execute, make_operator(cancel_on_kill=False))
    assert how.trigger.cancel_on_kill is False
    assert client.terminate_job.call_count == 0


@pytest.mark.parametrize("deferrable", [True, False])
def test_without_its_connection_nothing_is_submitted(client: Mock, *, deferrable: bool) -> None:
    """A trigger could not wait for the job; what is not deferred is left to the provider."""
    operator = make_operator(aws_conn_id="nowhere", deferrable=deferrable, wait_for_completion=False)
    if deferrable:
        with pytest.raises(AirflowNotFoundException, match="'nowhere' is not defined"):
            execute(operator)
    else:
        execute(operator)
    assert client.submit_job.call_count == (not deferrable)


@pytest.mark.parametrize("deferrable", [True, False])
def test_without_its_connection_nothing_is_created(client: Mock, *, deferrable: bool) -> None:
    """The same holds for a compute environment."""
    client.create_compute_environment.return_value = {"computeEnvironmentArn": "arn"}
    operator = make_environment_operator(aws_conn_id="nowhere", deferrable=deferrable)
    if deferrable:
        with pytest.raises(AirflowNotFoundException, match="'nowhere' is not defined"):
            execute(operator)
    else:
        execute(operator)
    assert client.create_compute_environment.call_count == (not deferrable)


def test_a_success_is_not_asked_for_again(client: Mock) -> None:
    """What the provider needs of the job is in the event."""
    event = {"status": "success", "job_id": JOB_ID, "job": brief_of(description("SUCCEEDED"))}
    assert make_operator().execute_complete(context_of(), event) == JOB_ID
    assert client.describe_jobs.call_count == 0


def test_a_job_that_has_failed_before_the_task_defers(client: Mock) -> None:
    """The error says why then, too, and the link to the log is there."""
    job = description("FAILED") | {"statusReason": "OutOfMemoryError: killed"}
    client.describe_jobs.return_value = {"jobs": [job]}
    context = context_of()
    with pytest.raises(AirflowException, match=r"Error while running job: .*OutOfMemoryError: killed"):
        make_operator().execute(context)
    keys = [call.kwargs["key"] for call in context["ti"].xcom_push.call_args_list]
    assert keys[-1] == "cloudwatch_events"


def test_a_hook_of_ones_own(client: Mock) -> None:
    """A subclass may have it, as of the provider's operator; it is told of the job, too."""

    class Operator(ours.BatchOperator):
        aws_hook_class: Any = type("Hook", (BatchClientHook,), {})

    operator = Operator(
        task_id="task", job_name="job", job_queue="queue", job_definition="definition", **CONNECTION
    )
    assert type(operator.hook) is Operator.aws_hook_class
    event = {"status": "success", "job_id": JOB_ID, "job": brief_of(description("SUCCEEDED"))}
    assert operator.execute_complete(context_of(), event) == JOB_ID
    assert client.describe_jobs.call_count == 0
    client.describe_jobs.return_value = {"jobs": [{"jobId": "other", "status": "RUNNING"}]}
    assert operator.hook.get_job_description("other")["status"] == "RUNNING"


def test_a_failure_is_not_asked_for_again(client: Mock) -> None:
    """The error has what the trigger says, and not the description."""
    event = {
        "status": "error",
        "message": "AWS Batch job (…) ran out of memory",
        "job_id": JOB_ID,
        "reason": "OutOfMemoryError",
        "cause": "out_of_memory",
        "exit_code": 137,
        "job": brief_of(description("FAILED")),
    }
    with pytest.raises(AirflowException, match=r"ran out of memory.*out_of_memory.*137") as raised:
        make_operator().execute_complete(context_of(), event)
    assert "jobQueue" not in str(raised.value)
    assert client.describe_jobs.call_count == client.terminate_job.call_count == 0


@pytest.mark.parametrize("awslogs_enabled", [True, False])
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_job_that_never_had_a_log(client: Mock, status: str, *, awslogs_enabled: bool) -> None:
    """The parent of an array has none, nor has what was terminated before it ran; the task ends as it did."""
    job = description(status)
    job["container"] = {"image": "busybox", "command": ["true"], "environment": []}
    event = {"status": "success", "job_id": JOB_ID, "job": brief_of(job)}
    operator = make_operator(awslogs_enabled=awslogs_enabled)
    if status == "SUCCEEDED":
        assert operator.execute_complete(context_of(), event) == JOB_ID
    else:
        event |= {"status": "error", "message": "it was terminated"}
        with pytest.raises(AirflowException, match="it was terminated"):
            operator.execute_complete(context_of(), event)
    assert client.describe_jobs.call_count == 0


@pytest.mark.parametrize("status", ["success", "error"])
def test_an_event_of_the_providers_trigger(client: Mock, status: str) -> None:
    """A task that was deferred before the move goes on as it would have."""
    client.describe_jobs.return_value = {"jobs": [description("SUCCEEDED")]}
    event = {"status": status, "job_id": JOB_ID, "message": "no more attempts"}
    if status == "success":
        make_operator().execute_complete(context_of(), event)
    else:
        with pytest.raises(AirflowException, match="no more attempts"):
            make_operator().execute_complete(context_of(), event)
    assert client.describe_jobs.call_count > 0
    assert client.terminate_job.call_count == 0


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_job_whose_task_gives_up(
    client: Mock, monkeypatch: pytest.MonkeyPatch, *, cancel_on_kill: bool
) -> None:
    """It is terminated, since a retry would submit a second one, and the task's log says so."""
    log = Mock()
    monkeypatch.setattr(ours.BatchOperator, "log", log)
    event = {"status": "error", "job_id": JOB_ID, "message": "3 checks", "job_status": "RUNNING"}
    with pytest.raises(AirflowException, match="3 checks"):
        make_operator(cancel_on_kill=cancel_on_kill).execute_complete(context_of(), event)
    if cancel_on_kill:
        reason = "The Airflow task gave up waiting: 3 checks"
        client.terminate_job.assert_called_once_with(jobId=JOB_ID, reason=reason)
        log.info.assert_any_call("AWS Batch job (%s) terminated: %s", JOB_ID, reason)
    else:
        assert client.terminate_job.call_count == 0


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_job_whose_task_times_out(client: Mock, *, cancel_on_kill: bool) -> None:
    """At its ``execution_timeout`` a task has nothing but what it kept for a link."""
    operator = make_operator(cancel_on_kill=cancel_on_kill)
    context = context_of({"region_name": "eu-west-1", "job_id": JOB_ID})
    with pytest.raises(Exception, match="Trigger timeout"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert client.terminate_job.call_count == cancel_on_kill
    if cancel_on_kill:
        whose = {"task_ids": "task", "key": "batch_job_details", "map_indexes": -1}
        context["ti"].xcom_pull.assert_called_once_with(**whose)


@pytest.mark.parametrize("xcom", [None, {}, "garbage", RuntimeError])
def test_a_time_out_without_a_known_job(client: Mock, monkeypatch: pytest.MonkeyPatch, xcom: Any) -> None:
    """It is raised all the same, and a line says that the job may go on."""
    context = context_of(xcom)
    if xcom is RuntimeError:
        context["ti"].xcom_pull.side_effect = xcom
    log = Mock()
    monkeypatch.setattr(ours.BatchOperator, "log", log)
    with pytest.raises(Exception, match="Trigger timeout"):
        make_operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert client.terminate_job.call_count == 0
    assert "may go on" in log.warning.call_args.args[0]


def test_a_task_that_is_killed_before_it_has_submitted(client: Mock) -> None:
    """The provider's operator asks for the end of no job, and the error of that hides why the task fails."""
    operator = make_operator()
    operator.on_kill()
    assert client.terminate_job.call_count == 0
    deferred(execute, operator)
    operator.on_kill()
    client.terminate_job.assert_called_once_with(jobId=JOB_ID, reason="Task killed by the user")


@pytest.mark.parametrize("is_airflow_3", [True, False])
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_time_out_in_airflow_2(
    client: Mock, monkeypatch: pytest.MonkeyPatch, *, cancel_on_kill: bool, is_airflow_3: bool
) -> None:
    """It does not resume the task, but kills it."""
    monkeypatch.setattr(operators, "AIRFLOW_V_3_0_PLUS", is_airflow_3)
    monkeypatch.setattr(operators, "get_current_context", lambda: context_of({"job_id": JOB_ID}))
    make_operator(cancel_on_kill=cancel_on_kill).on_kill()
    assert client.terminate_job.call_count == (cancel_on_kill and not is_airflow_3)


def test_a_time_out_in_airflow_2_outside_of_a_task(client: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of a job."""
    monkeypatch.setattr(operators, "AIRFLOW_V_3_0_PLUS", False)
    make_operator().on_kill()
    assert client.terminate_job.call_count == 0


def test_a_termination_that_fails_hides_nothing(client: Mock) -> None:
    """The task fails for its own reason."""
    client.terminate_job.side_effect = ConnectionError
    event = {"status": "error", "job_id": JOB_ID, "message": "3 checks", "job_status": None}
    with pytest.raises(AirflowException, match="3 checks"):
        make_operator().execute_complete(context_of(), event)
    with pytest.raises(Exception, match="Trigger timeout"):
        make_operator().resume_execution(
            "__fail__", {"error": "Trigger timeout"}, context_of({"job_id": JOB_ID})
        )
    assert client.terminate_job.call_count == 2


def test_a_brief_has_what_the_provider_reads_and_no_more() -> None:
    """It lands in Airflow's database and log, so the environment of a container has no place in it."""
    brief = brief_of(description("SUCCEEDED"))
    assert "secret" not in str(brief)
    assert brief["container"]["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "group"},
    }
    assert brief["attempts"] == [{"container": {"exitCode": 0, "logStreamName": "stream"}}]


def test_a_brief_of_what_makes_no_sense() -> None:
    """It raises nothing."""
    strange: dict[str, Any] = {"container": None, "attempts": {"a": 1}, "nodeProperties": [], "status": 3}
    assert brief_of(strange)["container"] is None


def test_the_sensor_defers_with_all_of_its_connection() -> None:
    """The provider's leaves out ``verify`` and ``botocore_config``; its job is not its own."""
    sensor = ours.BatchSensor(task_id="task", job_id=JOB_ID, deferrable=True, poke_interval=7, **CONNECTION)
    how = deferred(execute, sensor)
    path, arguments = how.trigger.serialize()
    assert path == "awaitbatch.integrations.airflow.triggers.BatchJobTrigger"
    assert arguments == {
        "job_id": JOB_ID,
        "waiter_delay": 7,
        "waiter_max_attempts": 4200,
        "cancel_on_kill": False,
        **CONNECTION,
    }


def test_the_sensor_of_a_job_that_fails() -> None:
    """It says why, without the description."""
    event = {"status": "error", "job_id": JOB_ID, "message": "it ran out of memory"}
    sensor = ours.BatchSensor(task_id="task", job_id=JOB_ID, deferrable=True)
    with pytest.raises(AirflowException, match="it ran out of memory") as raised:
        sensor.execute_complete(context_of(), event | {"job": brief_of(description("FAILED"))})
    assert "jobQueue" not in str(raised.value)
    sensor.execute_complete(context_of(), {"status": "success", "job_id": JOB_ID, "job": {}})


def test_the_operator_of_compute_environments(client: Mock) -> None:
    """It defers to our trigger."""
    client.create_compute_environment.return_value = {"computeEnvironmentArn": "arn"}
    how = deferred(execute, make_environment_operator())
    theirs = provider.BatchCreateComputeEnvironmentTrigger(
        compute_env_arn="arn", waiter_max_attempts=120, **CONNECTION
    )
    path, arguments = how.trigger.serialize()
    assert path == "awaitbatch.integrations.airflow.triggers.BatchCreateComputeEnvironmentTrigger"
    assert arguments == theirs.serialize()[1]


RESOURCES = [
    (
        ours.BatchComputeEnvironmentSensor,
        "compute_environment",
        "describe_compute_environments",
        "computeEnvironments",
    ),
    (ours.BatchJobQueueSensor, "job_queue", "describe_job_queues", "jobQueues"),
]


@pytest.mark.parametrize(("sensor", "argument", "operation", "member"), RESOURCES)
def test_sensors_of_resources_defer(
    client: Mock, sensor: Any, argument: str, operation: str, member: str
) -> None:
    """They poke once, and then wait in the triggerer."""
    getattr(client, operation).return_value = {member: [{"status": "CREATING"}]}
    arguments = {"task_id": "task", argument: "name", "poke_interval": 7, "timeout": 100, **CONNECTION}
    made = sensor(deferrable=True, **arguments)
    how = deferred(execute, made)
    _, given = how.trigger.serialize()
    given.pop("treat_non_existing_as_deleted", None)
    assert given == {argument: "name", "waiter_delay": 7, "waiter_max_attempts": None, **CONNECTION}
    assert how.timeout is not None
    assert how.timeout.total_seconds() == 100
    getattr(client, operation).return_value = {member: [{"status": "VALID"}]}
    assert execute(made) is None
    getattr(client, operation).return_value = {member: [{"status": "INVALID"}]}
    with pytest.raises(AirflowException, match="INVALID"):
        execute(made)


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "expected"),
    [(100, None, 100), (100, 50, 50), (50, 100, 50), (0, None, 0)],
)
def test_for_how_long_sensors_of_resources_are_deferred(
    client: Mock, timeout: int, execution_timeout: int | None, expected: int
) -> None:
    """As long as they would poke."""
    client.describe_job_queues.return_value = {"jobQueues": [{"status": "CREATING"}]}
    given = None if execution_timeout is None else timedelta(seconds=execution_timeout)
    made = ours.BatchJobQueueSensor(
        task_id="task",
        job_queue="name",
        deferrable=True,
        timeout=timeout,
        execution_timeout=given,
        **CONNECTION,
    )
    assert deferred(execute, made).timeout == timedelta(seconds=expected)


def test_a_first_poke_that_fails(client: Mock) -> None:
    """A sensor does with it what it does with any other, whether it can be deferred or not."""
    client.describe_job_queues.return_value = {"jobQueues": []}
    made = ours.BatchJobQueueSensor(
        task_id="task", job_queue="name", deferrable=True, never_fail=True, **CONNECTION
    )
    with pytest.raises(AirflowSkipException):
        execute(made)


@pytest.mark.parametrize(("sensor", "argument"), [row[:2] for row in RESOURCES])
def test_sensors_of_resources_end_as_their_trigger_says(sensor: Any, argument: str) -> None:
    """An error is raised with its own text."""
    made = sensor(task_id="task", deferrable=True, **{argument: "name"})
    made.execute_complete(context_of(), {"status": "success", "value": "name"})
    with pytest.raises(AirflowException, match="is INVALID"):
        made.execute_complete(context_of(), {"status": "error", "message": "it is INVALID"})
    with pytest.raises(AirflowException, match="no event"):
        made.execute_complete(context_of(), None)


@pytest.mark.parametrize("name", [name for name in ours.__all__ if name.endswith(("Operator", "Sensor"))])
def test_what_a_dag_may_do_with_them(name: str) -> None:
    """Default arguments reach each constructor, and tasks can be mapped."""
    kind = getattr(ours, name)
    arguments: dict[str, dict[str, Any]] = {
        "BatchOperator": {"job_name": "n", "job_queue": "q", "job_definition": "d"},
        "BatchSensor": {"job_id": JOB_ID},
        "BatchComputeEnvironmentSensor": {"compute_environment": "name"},
        "BatchJobQueueSensor": {"job_queue": "name"},
        "BatchCreateComputeEnvironmentOperator": {
            "compute_environment_name": "n",
            "environment_type": "MANAGED",
            "state": "ENABLED",
            "compute_resources": {},
        },
    }
    more = arguments[name]
    made = kind(task_id="task", default_args={"deferrable": True, "aws_conn_id": "other"}, **more)
    assert made.deferrable is True
    assert made.aws_conn_id == "other"
    mapped = kind.partial(task_id="mapped", deferrable=True, **more).expand(region_name=["eu-west-1"])
    assert mapped.operator_class is kind
