"""The public names are what they claim to be, and all of them are there."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import awaitbatch
import awaitbatch.errors
import awaitbatch.instrumentation
import awaitbatch.testing

MODULES = [awaitbatch, awaitbatch.instrumentation, awaitbatch.testing]
NAMES = [(module, name) for module in MODULES for name in module.__all__]

pytestmark = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


def test_all_is_sorted_and_names_each_thing_once(module: ModuleType) -> None:
    """A reader finds a name where the alphabet puts it."""
    assert module.__all__ == sorted(set(module.__all__))


def test_all_is_complete(module: ModuleType) -> None:
    """What the module holds without an underscore is public, and what is public it holds."""
    found = {
        name
        for name in dir(module)
        if not name.startswith("_") and not isinstance(getattr(module, name), ModuleType)
    }
    assert found - {"annotations", "TYPE_CHECKING"} == set(module.__all__) - {"__version__"}


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
        undocumented += [path for path, thing in things if not _is_documented(thing, name)]
    assert undocumented == []


def _is_documented(thing: object, name: str) -> bool:
    # dataclass and NamedTuple write "Name(field, …)" where nobody wrote anything.
    docstring = inspect.getdoc(thing)
    return bool(docstring) and not str(docstring).startswith(f"{name}(")
