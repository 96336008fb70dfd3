"""Operators, sensors, triggers and a hook for Apache Airflow, which wait by one shared client.

They are the Amazon provider's, with the same names, arguments and events, so what changes in a DAG is the import::

    from awaitbatch.integrations.airflow import BatchOperator

They need Airflow 2.11 or newer and the provider 9.36 or newer: ``pip install 'awaitbatch[airflow]'``.
"""

from typing import TYPE_CHECKING

try:
    from airflow.providers.amazon import __version__ as _provider
except ImportError as error:
    _message = (
        "awaitbatch.integrations.airflow needs Apache Airflow 2.11 or newer and its Amazon provider 9.36 or newer: "
        f"pip install 'awaitbatch[airflow]' ({error})"
    )
    raise ImportError(_message) from error

if tuple(map(int, _provider.split(".")[:2])) < (9, 36):
    _message = (
        f"awaitbatch.integrations.airflow needs apache-airflow-providers-amazon 9.36 or newer, not {_provider}: "
        "pip install 'awaitbatch[airflow]'"
    )
    raise ImportError(_message)

if TYPE_CHECKING:
    from awaitbatch.integrations.airflow.hooks import AwaitBatchHook
    from awaitbatch.integrations.airflow.operators import BatchCreateComputeEnvironmentOperator, BatchOperator
    from awaitbatch.integrations.airflow.sensors import (
        BatchComputeEnvironmentSensor,
        BatchJobQueueSensor,
        BatchSensor,
    )
    from awaitbatch.integrations.airflow.triggers import (
        BatchComputeEnvironmentTrigger,
        BatchCreateComputeEnvironmentTrigger,
        BatchJobQueueTrigger,
        BatchJobTrigger,
    )

__all__ = [
    "AwaitBatchHook",
    "BatchComputeEnvironmentSensor",
    "BatchComputeEnvironmentTrigger",
    "BatchCreateComputeEnvironmentOperator",
    "BatchCreateComputeEnvironmentTrigger",
    "BatchJobQueueSensor",
    "BatchJobQueueTrigger",
    "BatchJobTrigger",
    "BatchOperator",
    "BatchSensor",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: a triggerer needs no operators."""
        from importlib import import_module

        if name not in __all__:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        for end in ("Hook", "Operator", "Sensor", "Trigger"):
            if name.endswith(end):
                value = getattr(import_module(f"{__name__}.{end.lower()}s"), name)
        if name.endswith("Trigger"):
            # Whoever names it in code of his own may ask whether it is one of the provider's.
            import_module(f"{__name__}._deferral")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
