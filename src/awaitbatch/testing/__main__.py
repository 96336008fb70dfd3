"""``python -m awaitbatch.testing``: a model of AWS Batch that listens on a port until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from awaitbatch.testing._model.faults import Fault
from awaitbatch.testing._model.life_cycle import LifeCycleRanges
from awaitbatch.testing._process.server_process import ANNOUNCEMENT
from awaitbatch.testing._server import BatchServer

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATES = ("submitted", "pending", "runnable", "starting", "running")
_PORTS = range(65_536)
_JOBS_AT_ONCE = 2_000
"""Jobs to add before signals are handled."""

_PARENT_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the parent is still there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a server with the options of the command line until Ctrl-C or SIGTERM."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        server = _configure(options)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(server, options))
    except _ListenError as error:
        sys.exit(str(error))
    except BrokenPipeError:
        # Nobody reads what it prints any more. What is left of it must not be printed at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit("nobody reads the output any more")


class _ListenError(Exception):
    """The server cannot have its port."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m awaitbatch.testing",
        description="A model of AWS Batch to test against. Its jobs pass through their states by themselves.",
    )

    def option(name: str, text: str, **settings: Any) -> None:  # noqa: ANN401
        shown = text if settings.get("default") is None else f"{text} (default: %(default)s)"
        parser.add_argument(name, help=shown, **settings)

    option("--host", "address to listen on", default="127.0.0.1")
    option("--port", "port to listen on; 0 takes a free one", type=int, default=0)
    option("--region", "region of all ARNs", default="us-east-1")
    option("--jobs", "jobs that are there from the start", type=int, default=0, metavar="N")
    defaults = LifeCycleRanges()
    for state in _STATES:
        low, high = getattr(defaults, state)
        text = f"seconds that a job spends in {state.upper()}"
        option(f"--{state}", text, type=_range, default=f"{low:g}:{high:g}", metavar="LOW:HIGH")
    option("--attempts", "how often a job is tried", type=_whole_range, default="1", metavar="LOW:HIGH")
    option("--failing", "share of jobs that fail, 0 to 1", type=float, default=0.0, metavar="SHARE")
    text = "the most calls per second, and the most at once (by default those of one second), for the whole account or "
    text += "for one operation; may be repeated"
    option("--rate", text, type=_rate, action="append", metavar="[OPERATION=]CALLS[:BURST]")
    faults = ", ".join(fault for fault in Fault if fault is not Fault.CONNECTION_REFUSED)
    text = f"let a fault hit a share of the calls that it can hit; may be repeated; faults: {faults}"
    option("--fault", text, type=_fault, action="append", metavar="FAULT=SHARE")
    text = "an operation that the server is to lack; may be repeated"
    option("--lacking", text, action="append", metavar="OPERATION")
    text = "least size of a job's description"
    option("--description-bytes", text, type=int, default=2500, metavar="BYTES")
    option("--latency", "least time that a call takes", type=float, default=0.0, metavar="SECONDS")
    option("--seed", "makes ids and life cycles reproducible", type=int)
    option("--until-input-ends", "stop also when standard input ends", action="store_true")
    return parser


def _range(text: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    return float(low), float(high if colon else low)


def _whole_range(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    return int(low), int(high if colon else low)


def _rate(text: str) -> tuple[float, float | None, str | None]:
    operation, _, bucket = text.rpartition("=")
    rate, colon, burst = bucket.partition(":")
    return float(rate), float(burst) if colon else None, operation or None


def _fault(text: str) -> tuple[Fault, float]:
    name, _, share = text.partition("=")
    if name == Fault.CONNECTION_REFUSED:
        # Nobody could reach the server to lift it.
        raise ValueError(name)
    return Fault(name), float(share)


# argparse names a type by these when it refuses a value.
_range.__name__ = "range LOW:HIGH"
_whole_range.__name__ = "range LOW:HIGH"
_rate.__name__ = "rate [OPERATION=]CALLS[:BURST]"
_fault.__name__ = "fault FAULT=SHARE"


def _configure(options: argparse.Namespace) -> BatchServer:
    if options.port not in _PORTS:
        message = f"--port must be {_PORTS[0]} to {_PORTS[-1]}"
        raise ValueError(message)
    for name in ("jobs", "description_bytes", "latency"):
        if getattr(options, name) < 0:
            message = f"--{name.replace('_', '-')} cannot be negative"
            raise ValueError(message)
    if not math.isfinite(options.latency):
        message = f"--latency must be a number of seconds, not {options.latency}"
        raise ValueError(message)
    ranges = LifeCycleRanges(
        **{state: getattr(options, state) for state in _STATES},
        failing=options.failing,
        attempts=options.attempts,
    )
    server = BatchServer(
        default_life_cycle=ranges,
        description_bytes=options.description_bytes,
        latency=options.latency,
        region_name=options.region,
        host=options.host,
        port=options.port,
        seed=options.seed,
        lacking=options.lacking or (),
    )
    for rate in options.rate or ():
        server.throttle(*rate)
    for fault, share in options.fault or ():
        server.inject(fault, probability=share)
    return server


async def _serve(server: BatchServer, options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    parent = None
    if options.until_input_ends:
        loop.add_reader(sys.stdin, _watch_input, stopped)
        parent = loop.create_task(_watch_parent(os.getppid(), stopped))
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            message = f"cannot listen on {options.host}:{options.port}: {error.strerror}"
            raise _ListenError(message) from error
        for added in range(options.jobs):
            if added % _JOBS_AT_ONCE == 0:
                await asyncio.sleep(0)
                if stopped.is_set():
                    break
            server.add_job()
        else:
            print(f"BatchServer {ANNOUNCEMENT} {server.endpoint_url}", flush=True)
        await stopped.wait()
    if parent is not None:
        parent.cancel()
    print(_summary(server))


async def _watch_parent(parent: int, stopped: asyncio.Event) -> None:
    """Stop when the parent is gone; a fork of it may live on and keep the input open."""
    while os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(_PARENT_CHECK_INTERVAL)
    stopped.set()


def _watch_input(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        stopped.set()


def _summary(server: BatchServer) -> str:
    statistics = server.statistics
    return (
        f"{statistics.calls.total()} calls, {statistics.throttled.total()} of them throttled; "
        f"{statistics.calls['DescribeJobs']} were DescribeJobs with {statistics.ids_per_call:.1f} ids each; "
        f"{statistics.faults.total()} calls hit by a fault; {len(server.ended())} jobs ended"
    )


if __name__ == "__main__":
    main()
