"""What users and awaitbatch's own tests run against: a model of AWS Batch, and moto's server."""

from awaitbatch.testing.faults import Fault, FaultRule
from awaitbatch.testing.life_cycle import LifeCycle, LifeCycleRanges
from awaitbatch.testing.moto import MotoServer
from awaitbatch.testing.process import ServerProcess
from awaitbatch.testing.server import BatchServer
from awaitbatch.testing.token_bucket import TokenBucket

__all__ = [
    "BatchServer",
    "Fault",
    "FaultRule",
    "LifeCycle",
    "LifeCycleRanges",
    "MotoServer",
    "ServerProcess",
    "TokenBucket",
]
