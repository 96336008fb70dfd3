"""What users and awaitbatch's own tests run against: a model of AWS Batch, moto's server, and a clock that jumps.

`awaitbatch.testing.virtual_time` is the event loop, and `awaitbatch.testing.scenarios` has whole situations in one
line. pytest finds the fixtures of `awaitbatch.testing.pytest_plugin` by itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awaitbatch.testing import scenarios as scenarios
    from awaitbatch.testing import virtual_time as virtual_time
    from awaitbatch.testing._http.client_arguments import ClientArguments
    from awaitbatch.testing._in_process import InProcessTransport
    from awaitbatch.testing._model.faults import Fault, FaultRule
    from awaitbatch.testing._model.life_cycle import LifeCycle, LifeCycleRanges
    from awaitbatch.testing._model.token_bucket import TokenBucket
    from awaitbatch.testing._process.moto_server import MotoServer
    from awaitbatch.testing._process.server_process import ServerProcess
    from awaitbatch.testing._server import BatchServer

__all__ = [
    "BatchServer",
    "ClientArguments",
    "Fault",
    "FaultRule",
    "InProcessTransport",
    "LifeCycle",
    "LifeCycleRanges",
    "MotoServer",
    "ServerProcess",
    "TokenBucket",
]

# pytest loads the plugin in every run, and most runs use none of this.
_MODULES = {
    "BatchServer": "_server",
    "ClientArguments": "_http.client_arguments",
    "Fault": "_model.faults",
    "FaultRule": "_model.faults",
    "InProcessTransport": "_in_process",
    "LifeCycle": "_model.life_cycle",
    "LifeCycleRanges": "_model.life_cycle",
    "MotoServer": "_process.moto_server",
    "ServerProcess": "_process.server_process",
    "TokenBucket": "_model.token_bucket",
}


if not TYPE_CHECKING:
    # Type checkers have the names above, and would take any other for one that is there.

    def __getattr__(name: str) -> object:
        """Import a name, or a public module, when it is first asked for."""
        from importlib import import_module  # noqa: PLC0415

        if name in {"scenarios", "virtual_time"}:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
