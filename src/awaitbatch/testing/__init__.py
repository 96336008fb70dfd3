"""What users and awaitbatch's own tests run against: a model of AWS Batch, and moto's server."""

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
