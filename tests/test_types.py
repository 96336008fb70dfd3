"""What type checkers find in users' programs, and that users can name whatever the library gives them."""

from __future__ import annotations

import ast
import inspect
import json
import os
import shutil
import subprocess
import sys
import typing
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import awaitbatch
from awaitbatch import errors, instrumentation, testing, threads
from tests.imports import imported_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PROGRAMS: Final = Path(__file__).parent / "types"
CORRECT: Final = "program.py"
WRONG: Final = "typos.py"

Complaint = tuple[str, int, str]


def of_mypy(output: str) -> Iterator[Complaint]:
    """What mypy complains of: file, line and text."""
    for line in output.splitlines():
        complaint = json.loads(line)
        if complaint["severity"] == "error":
            yield complaint["file"], complaint["line"], complaint["message"]


def of_pyright(output: str) -> Iterator[Complaint]:
    """The same of pyright, which counts lines from 0."""
    for complaint in json.loads(output)["generalDiagnostics"]:
        file, line = Path(complaint["file"]).name, complaint["range"]["start"]["line"] + 1
        # What follows from a mistake is not known; that is no find of its own.
        if file == CORRECT or not complaint.get("rule", "").startswith("reportUnknown"):
            yield file, line, complaint["message"]


MYPY: Final = (of_mypy, "mypy", "--strict", "--output=json", "--config-file=", CORRECT, WRONG)
PYRIGHT: Final = (of_pyright, "pyright", "--outputjson", "--pythonpath", sys.executable)


@pytest.mark.lint
@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_every_typo_is_found_and_nothing_else(
    checker: tuple[Any, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Strict checkers find each mistake of a user's program, and none in one that has none."""
    complaints, *command = checker
    for name in (CORRECT, WRONG):
        shutil.copy(PROGRAMS / name, tmp_path)
    settings = {"include": ["."], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYPY")}
    # Kept between runs, where pytest keeps anything: mypy takes several times as long without.
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    environment["MYPY_CACHE_DIR"] = str(tmp_path / "mypy" if cache is None else cache.mkdir("mypy"))
    process = subprocess.run(
        (sys.executable, "-m", *command),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1, process.stdout + process.stderr
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file, line, message in complaints(process.stdout):
        found[file][line].append(message)
    assert dict(found[CORRECT]) == {}
    lines = (PROGRAMS / WRONG).read_text(encoding="utf-8").splitlines()
    typos = {number for number, line in enumerate(lines, 1) if line.endswith("# typo")}
    assert len(typos) > 20
    assert {number: found[WRONG].get(number) for number in typos ^ found[WRONG].keys()} == {}


def test_the_stubs_are_never_imported() -> None:
    """They have no part in what runs, so a program runs where they are missing."""
    modules = "awaitbatch.errors, awaitbatch.instrumentation, awaitbatch.testing, awaitbatch.threads"
    imported = imported_by("-c", f"import {modules}; from awaitbatch import *")
    assert {"aiobotocore", "awaitbatch"} <= imported
    assert not {name for name in imported if name.startswith(("mypy_", "types_"))}


# What users can name.

PUBLIC: Final = [
    *(
        getattr(module, name)
        for module in (awaitbatch, instrumentation, testing, testing.scenarios, testing.virtual_time, threads)
        for name in module.__all__
    ),
    *(value for value in vars(errors).values() if getattr(value, "__module__", "") == errors.__name__),
]

NOT_FOR_USERS: Final = {
    ("BatchService.call: return", "Response"),
    ("CallEnded.of: how", "Failure"),
    ("CallError.of: failure", "Failure"),
    ("RemoteClient.__init__: loop_thread", "LoopThread"),
    ("InProcessTransport.__init__: service", "BatchService"),
    ("JobSummaries.__init__: host", "Host"),
    ("JobSummaries.__init__: request", "ListRequest"),
    ("JobWaiter.__init__: host", "Host"),
    ("JobWaiter.__init__: model", "WaiterModel"),
    ("JobWaiter.__init__: rules", "Rules"),
    ("SubmitUncertainError.of: failure", "Failure"),
    ("TerminationError.of: failure", "Failure"),
}
"""What one room of the library gives to another."""


def test_whatever_users_give_or_get_has_a_public_name() -> None:
    """Each class in an annotation of a public class or function can be imported from a public module."""
    classes = {value for value in PUBLIC if inspect.isclass(value)}
    annotations = [annotation for public in PUBLIC for annotation in annotations_of(public)]
    assert len(annotations) > 700
    unnamed = {
        (place, kind.__name__)
        for place, hint in annotations
        for kind in classes_in(hint)
        if kind not in classes
    }
    assert unnamed == NOT_FOR_USERS


def annotations_of(public: Any) -> Iterator[tuple[str, object]]:
    """All annotations of a class or a function, each with its place."""
    if inspect.isfunction(public):
        yield from hints_of(public.__qualname__, public, public.__module__)
    for base in public.__mro__ if inspect.isclass(public) else ():
        if not base.__module__.startswith("awaitbatch"):
            continue
        yield from hints_of(base.__qualname__, base, base.__module__)
        for name, member in vars(base).items():
            function = next((got for way in _WAYS if (got := getattr(member, way, None))), member)
            # The one that the class has.
            is_it = inspect.getattr_static(public, name) is member
            if is_it and inspect.isfunction(function) and not is_private(name):
                yield from hints_of(f"{base.__qualname__}.{name}", function, base.__module__)


_WAYS: Final = ("fget", "func", "__func__")
"""To the function of a property, a cached property, and a class method or static method."""


def hints_of(place: str, owner: Any, module_name: str) -> Iterator[tuple[str, object]]:
    """The evaluated annotations of one class or function, but for private names."""
    names = {**all_names(), **names_for_checkers(sys.modules[module_name])}
    hints = typing.get_type_hints(owner, names, names)
    yield from ((f"{place}: {name}", hint) for name, hint in hints.items() if not is_private(name))


def is_private(name: str) -> bool:
    """Whether users have nothing to do with it; special methods are theirs."""
    return name.startswith("_") and not name.endswith("__")


@cache
def names_for_checkers(module: ModuleType) -> dict[str, Any]:
    """What type checkers find in a module: what it has, and what it imports for them alone."""
    names = dict(vars(module))
    for block in ast.parse(inspect.getsource(module)).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(block.body, []), module.__name__, "exec"), names)  # noqa: S102
    return names


@cache
def all_names() -> dict[str, Any]:
    """The names of all modules together: aliases bring along names that the module using them does not have."""
    modules = [module for name, module in sys.modules.items() if name.startswith("awaitbatch.")]
    return {name: value for module in modules for name, value in names_for_checkers(module).items()}


def classes_in(hint: object) -> Iterator[type]:
    """The classes of awaitbatch that an annotation is made of."""
    if inspect.isclass(hint) and hint.__module__.startswith("awaitbatch"):
        yield hint
    for part in typing.get_args(hint):
        for inner in part if isinstance(part, list) else [part]:
            yield from classes_in(inner)
