"""The public names are what they claim to be, and all of them are there."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import awaitbatch
import awaitbatch.errors
import awaitbatch.instrumentation
import awaitbatch.testing
import awaitbatch.testing.scenarios
import awaitbatch.testing.virtual_time
import awaitbatch.threads
from tests.imports import HEAVY, imported_by

MODULES = [awaitbatch, awaitbatch.instrumentation, awaitbatch.testing, awaitbatch.threads]
# These have what they consist of in themselves.
WHOLE = [awaitbatch.testing.scenarios, awaitbatch.testing.virtual_time]

each_module = pytest.mark.parametrize("module", [*MODULES, *WHOLE], ids=lambda module: module.__name__)


@each_module
def test_all_is_sorted_and_names_each_thing_once(module: ModuleType) -> None:
    """A reader finds a name where the alphabet puts it."""
    assert module.__all__ == sorted(set(module.__all__))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_is_complete(module: ModuleType) -> None:
    """What the module holds without an underscore is public, and what is public it holds."""
    found = {
        name
        for name in dir(module)
        if not name.startswith("_") and not isinstance(getattr(module, name), ModuleType)
    }
    assert found - {"annotations", "TYPE_CHECKING"} == set(module.__all__) - {"__version__"}


@each_module
def test_what_is_public_is_documented(module: ModuleType) -> None:
    """Every public name and every public method has a docstring that somebody wrote."""
    undocumented = []
    for name in set(module.__all__) - {"__version__"}:
        value = getattr(module, name)
        bases = inspect.getmro(value) if inspect.isclass(value) else ()
        ours = [base for base in bases if base.__module__.startswith("awaitbatch.")]
        things = [(name, value)] + [
            (f"{name}.{member}", thing)
            for base in ours
            for member, thing in vars(base).items()
            if not member.startswith("_") and isinstance(thing, property | staticmethod | type(lambda: None))
        ]
        is_alias = not inspect.isclass(value) and not inspect.isroutine(value)
        undocumented += [name] if is_alias and not _is_documented_alias(module, name) else []
        undocumented += [path for path, thing in things if not is_alias and not _is_documented(thing, name)]
    assert undocumented == []


def test_lazy_names_come_from_where_type_checkers_find_them() -> None:
    """In `awaitbatch/__init__.py`, `__all__`, the imports for type checkers and the table of lazy names agree."""
    source = ast.parse(inspect.getsource(awaitbatch))
    for_type_checkers = {
        alias.asname or alias.name: str(imported.module)
        for block in source.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for imported in block.body
        if isinstance(imported, ast.ImportFrom)
        for alias in imported.names
    }
    public_modules = {name for name, module in for_type_checkers.items() if module == "awaitbatch"}
    assert public_modules == {"errors", "instrumentation", "testing", "threads"}
    assert all(isinstance(getattr(awaitbatch, name), ModuleType) for name in public_modules)
    for name in public_modules:
        del for_type_checkers[name]
    assert for_type_checkers.keys() == set(awaitbatch.__all__) - {"__version__"}
    lazy = {name: f"awaitbatch.{awaitbatch._MODULES.get(name, 'errors')}" for name in for_type_checkers}
    assert lazy == for_type_checkers
    assert awaitbatch._MODULES.keys() <= for_type_checkers.keys()
    for name, module in for_type_checkers.items():
        assert getattr(awaitbatch, name) is getattr(import_module(module), name)


def test_an_unknown_name() -> None:
    """A name that is not public is refused as Python refuses it, also if a module of the package has it."""
    for name in ("Nothing", "Watch", "TERMINAL"):
        with pytest.raises(AttributeError, match=f"module 'awaitbatch' has no attribute '{name}'"):
            getattr(awaitbatch, name)
    assert not hasattr(awaitbatch, "nothing")


def test_importing_it_alone_is_quick() -> None:
    """`import awaitbatch` waits for none of the packages that its names need."""
    imported = imported_by("-c", "import awaitbatch")
    assert "awaitbatch" in imported
    assert not imported & HEAVY
    assert "aiobotocore" in imported_by("-c", "from awaitbatch import BatchClient")


def _is_documented(thing: object, name: str) -> bool:
    # dataclass and NamedTuple write "Name(field, …)" where nobody wrote anything.
    docstring = inspect.getdoc(thing)
    return bool(docstring) and not str(docstring).startswith(f"{name}(")


def _is_documented_alias(module: ModuleType, name: str) -> bool:
    """Whether a text follows the assignment of an alias of types, which has no docstring of its own."""
    made_in = import_module(f"{module.__name__}.{module._MODULES[name]}") if module not in WHOLE else module
    statements = ast.parse(inspect.getsource(made_in)).body
    targets = [
        ast.unparse(getattr(one, "target", None) or getattr(one, "targets", [one])[0]) for one in statements
    ]
    following = statements[targets.index(name) + 1]
    return isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)


@pytest.mark.parametrize(
    "name",
    ["errors", "instrumentation", "testing", "testing.scenarios", "testing.virtual_time", "threads"],
)
def test_public_modules_need_no_import_of_their_own(name: str) -> None:
    """Whoever has imported awaitbatch may write `except awaitbatch.errors.JobNotFoundError`."""
    script = f"import awaitbatch; assert awaitbatch.{name}.__name__ == 'awaitbatch.{name}'"
    subprocess.run((sys.executable, "-c", script), check=True)
