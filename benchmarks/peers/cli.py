"""``python -m benchmarks peers``: the race, whole or piece by piece.

Without options every contestant runs every scenario twice: checking each job about every 5 s, and by its own
defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.peers import race
from benchmarks.peers import rows as table
from benchmarks.peers.environments import NoEnvironmentError, python_of
from benchmarks.peers.race import RunError
from benchmarks.peers.registry import (
    CONTESTANTS,
    FULL_LOOP,
    IDLE,
    OURS,
    OURS_ON_UVLOOP,
    OURS_STEADY,
    SINGLE_LOOP,
)
from benchmarks.peers.scenarios import BY_DEFAULT, EVERY_FEW_SECONDS, PACES, QUICK, QUICK_PACE, SCENARIOS
from benchmarks.peers.schedule import Run, plan, reason_to_skip, seconds_for
from benchmarks.report import RESULTS, Figure, Result, conclude, machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.peers.rows import Row

_PATH: Final = RESULTS / "peers.json"
_RIVALS: Final = frozenset(CONTESTANTS) - {OURS, OURS_ON_UVLOOP, OURS_STEADY, IDLE}
_TITLES: Final = {contestant.name: contestant.about for contestant in CONTESTANTS.values()}
_QUICK_NAMES: Final = (OURS, FULL_LOOP, SINGLE_LOOP)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for.

    Returns:
        The exit code: 1 if a target of the short form was missed, or a contestant that was only tried did not
        work.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.quick:
        return conclude(asyncio.run(_quick()), save=False)
    try:
        contestants = [CONTESTANTS[name] for name in _chosen(options.contestants, CONTESTANTS)]
        scenarios = [SCENARIOS[name] for name in _chosen(options.scenarios, SCENARIOS, exact=True)]
    except ValueError as error:
        parser.error(str(error))
    if options.show:
        print(report(load()))
        return 0
    if options.attempt:
        rows = asyncio.run(
            _race([Run(contestant, QUICK, QUICK_PACE) for contestant in contestants], save=False)
        )
        print(report(rows))
        return 1 if any(map(_did_not_work, rows)) else 0
    wanted = ((EVERY_FEW_SECONDS, options.interval), (BY_DEFAULT, options.defaults))
    paces = [pace for pace, is_wanted in wanted if is_wanted]
    planned = list(plan(contestants, scenarios, paces or PACES))
    if not planned:
        parser.error("none of these contestants takes part in these scenarios at this pace")
    if options.list:
        print("\n".join([*map(str, planned), _outlook(planned)]))
        return 0
    print(report(asyncio.run(_race(planned, save=options.save))))
    return 0


def _did_not_work(row: Row) -> bool:
    # The idle loop awaits no job, so it reports no end.
    return "error" in row or (row["contestant"] != IDLE and row["died"] + row["left"] > 0)


def _outlook(planned: Sequence[Run]) -> str:
    minutes = max(1, round(seconds_for(planned, load()) / 60))
    return (
        f"{len(planned)} runs, about {minutes} min, and some minutes more where something is to be installed"
    )


async def _quick() -> Result:
    """Run ours and the plain loops, in the environment of this interpreter, with a few short jobs."""
    planned = [Run(CONTESTANTS[name], QUICK, QUICK_PACE) for name in _QUICK_NAMES]
    here = Path(sys.executable)
    # At once, because time is short: what is checked does not depend on what else runs.
    rows = await asyncio.gather(
        *(race.run(run.contestant, run.scenario, run.pace, here, inherit=True) for run in planned)
    )
    found = {run.contestant.name: _headed(run) | row for run, row in zip(planned, rows, strict=True)}
    return Result(
        name="peers",
        about=f"{QUICK.about}, each checked about every {QUICK_PACE.interval:g} s",
        figures=[*_ratios(found), *(_dead(row) for row in found.values())],
        quick=True,
        extra=[report(list(found.values()))],
    )


def _ratios(found: dict[str, Row]) -> Iterator[Figure]:
    """What does not depend on the machine."""
    ours, full, single = (found[name] for name in _QUICK_NAMES)

    def calls_per_job_seen(row: Row) -> float:
        return float(row["calls"] / row["jobs_seen"])

    # Until the last jobs end, calls carry fewer and fewer.
    yield Figure(name=OURS, value=ours["ids_per_call"], unit="ids a call", at_least=70)
    yield Figure(
        name=f"{OURS} : {FULL_LOOP}",
        value=calls_per_job_seen(ours) / calls_per_job_seen(full),
        unit="times the calls per job seen",
        # Each makes about ten calls, so one more or less is a tenth.
        at_most=1.25,
    )
    yield Figure(
        name=f"{SINGLE_LOOP} : {OURS}",
        value=calls_per_job_seen(single) / calls_per_job_seen(ours),
        unit="times the calls per job seen",
        at_least=70,
    )
    yield Figure(
        name=f"{FULL_LOOP} : {OURS}",
        value=full["cpu_seconds"] / ours["cpu_seconds"],
        unit="times the CPU",
        at_least=1,
    )


def _dead(row: Row) -> Figure:
    name = f"{_TITLES[row['contestant']]}, {row['scenario']}, {row['pace']}"
    return Figure(name=name, value=row["died"] + row["left"], unit="waits died or left", at_most=0)


def load() -> list[Row]:
    """The rows that are kept."""
    if not _PATH.exists():
        return []
    rows: list[Row] = json.loads(_PATH.read_text())["rows"]
    return rows


def _save(new: Iterable[Row]) -> None:
    order = [
        (scenario, pace.name, contestant)
        for scenario in SCENARIOS
        for pace in PACES
        for contestant in CONTESTANTS
    ]
    kept = {
        "name": "peers",
        "about": "awaitbatch beside what people use today; each row says when and on what it was taken",
        "rows": table.merged(load(), new, order),
    }
    _PATH.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def report(rows: Sequence[Row]) -> str:
    """All rows as tables, one for each scenario and pace, and where ours is beaten."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["scenario"], row["pace"]), []).append(row)
    parts = []
    for (scenario, pace), group in groups.items():
        about = next(
            (known.about for known in (*SCENARIOS.values(), QUICK) if known.name == scenario), scenario
        )
        parts += [f"### {about}, {_told(pace)}", table.markdown(group, _TITLES)]
        fates = [
            f"- {_TITLES[row['contestant']]}: {row['missing_id']}" for row in group if "missing_id" in row
        ]
        if fates:
            parts.append("\n".join(("The missing id:", "", *fates)))
    steady = {
        key[:2]: row for row in rows if (key := table.key_of(row))[2] == OURS_STEADY and "error" not in row
    }
    beaten = []
    for row, our_row, column in table.losses(rows, OURS, _RIVALS):
        line = (
            f"- {row['scenario']}, {row['pace']}: {_TITLES[row['contestant']]}, {column.title} "
            f"{table.shown(row[column.key], column)} to our {table.shown(our_row[column.key], column)}"
        )
        best = steady.get(table.key_of(row)[:2])
        if best is not None:
            line += f" ({table.shown(best[column.key], column)} at a steady rate)"
        beaten.append(line)
    if beaten:
        parts.append("\n".join((f"### Where {OURS} is beaten", "", *beaten)))
    return "\n\n".join(parts)


def _told(pace: str) -> str:
    return "own defaults" if pace == BY_DEFAULT.name else f"checking about every {pace.removesuffix('s')} s"


async def _race(planned: Sequence[Run], *, save: bool) -> list[Row]:
    """Run one after the other: CPU time is only worth something while nothing else runs."""
    _say(_outlook(planned))
    environments = {run.contestant.environment.name: run.contestant.environment for run in planned}
    pythons: dict[str, Path | str] = {}
    for name, environment in environments.items():
        try:
            pythons[name] = await python_of(environment)
        except NoEnvironmentError as error:
            pythons[name] = str(error)
            _say(f"[{name}] {error}")
    rows: list[Row] = []
    kept = load()
    for number, run in enumerate(planned):
        minutes = seconds_for(planned[number:], kept) / 60
        _say(f"[{number + 1}/{len(planned)}] {run} (about {minutes:.0f} min left)")
        row = _headed(run)
        try:
            row |= await _run(run, pythons[run.contestant.environment.name], rows)
        except RunError as error:
            row["error"] = str(error)
        _say(f"    {_in_short(row)}")
        rows.append(row)
        if save:
            # At once: the race is long, and what is cut off should cost what was under way alone.
            _save([row])
    return rows


async def _run(run: Run, python: Path | str, rows: Iterable[Row]) -> Row:
    """Make a run unless it cannot be, or is in vain."""
    reason = python if isinstance(python, str) else reason_to_skip(run, rows)
    if isinstance(python, str) or reason is not None:
        raise RunError(reason)
    return await race.run(run.contestant, run.scenario, run.pace, python)


def _in_short(row: Row) -> str:
    if "error" in row:
        return str(row["error"].splitlines()[-1])
    cut_off = ", cut off" if row["cut_off"] else ""
    return (
        f"{row['seconds']:.0f} s, {row['calls']:,} calls, {row['died']:,} died, {row['left']:,} left{cut_off}"
    )


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _headed(run: Run) -> dict[str, Any]:
    return {
        "contestant": run.contestant.name,
        "scenario": run.scenario.name,
        "pace": run.pace.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def _chosen(text: str | None, known: Iterable[str], *, exact: bool = False) -> list[str]:
    """The names in a list with commas; the beginning of a name stands for all that begin so.

    Raises:
        ValueError: One of them is no name.
    """
    known = list(known)
    if text is None:
        return known
    chosen: list[str] = []
    for word in text.split(","):
        found = [name for name in known if name == word or (not exact and name.startswith(word + "-"))]
        if not found:
            message = f"{word!r} is none of {', '.join(known)}"
            raise ValueError(message)
        chosen += found
    return [name for name in known if name in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument(
        "--contestants",
        metavar="NAME,…",
        help=f"of {', '.join(CONTESTANTS)}; `plain` stands for both plain loops",
    )
    parser.add_argument("--scenarios", metavar="NAME,…", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--interval", action="store_true", help="only checking each job about every 5 s")
    parser.add_argument("--defaults", action="store_true", help="only as often as each does by default")
    parser.add_argument("--save", action="store_true", help=f"merge the rows into results/{_PATH.name}")
    parser.add_argument("--show", action="store_true", help="run nothing, only show the rows that are kept")
    parser.add_argument(
        "--list", action="store_true", help="run nothing, only say what would be run, and how long it takes"
    )
    parser.add_argument(
        "--try",
        dest="attempt",
        action="store_true",
        help="install what is missing, and let each contestant await a few short jobs once, to see that it works",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="ours and the plain loops, short, installing nothing, with targets",
    )
    return parser
