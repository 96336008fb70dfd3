"""Lets Sphinx show the public names behind the private modules that they are made in.

- Names that modules import for type checkers alone are there when annotations are read.
- ``awaitbatch._jobs.JobStatus`` in an annotation leads to ``awaitbatch.JobStatus``, under which it is documented.
- A name in single backticks is looked up everywhere, and is code where nothing is found.
- Private base classes are left out, and so are constructors that users never call.
- Each error's entry says what to do, as the table of the errors in reference/failures.md does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin, get_type_hints

from sphinx.domains.python import PyObject
from sphinx.ext.autodoc.mock import mock

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PUBLIC: Final = (
    "awaitbatch.instrumentation",
    "awaitbatch",
    "awaitbatch.testing",
    "awaitbatch.testing.scenarios",
    "awaitbatch.testing.virtual_time",
    "awaitbatch.threads",
    "awaitbatch.integrations.airflow",
)
FAILURES: Final = Path(__file__).parents[1] / "reference" / "failures.md"

ALIASES: Final = ("MatchStatus", "ReturnWhen", "WatchItem")
"""Public names of types, which signatures show in place of what they stand for."""

FOREIGN: Final = {"AiobotocoreBatchClient"}
"""Names under which we import what others have named as we have named ours: signatures show these."""

OURS: Final = {
    "awaitbatch.errors": {"derive", "in_response", "left_open", "not_done", "of"},
    "awaitbatch.instrumentation": {"of"},
    "awaitbatch.integrations": {"aws_hook_class"},
    "awaitbatch.testing._service": {"call", "expects_outage", "is_in_real_time", "note_refusals"},
    "awaitbatch.testing.virtual_time": {
        "has_threads",
        "jump",
        "refuses_real_io",
        "run_forever",
        "run_in_executor",
        "run_test",
        "shutdown_default_executor",
    },
}
"""Members that awaitbatch itself needs, and users do not."""

_PATH: Final = re.compile(r"\bawaitbatch(?:\.\w+)+")

_places: dict[int, str] = {}
"""Where things that users have are documented."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("builder-inited", import_all)
    app.connect("missing-reference", find)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", show_signature)
    app.connect("autodoc-process-docstring", before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", after_napoleon, priority=900)
    return {"parallel_read_safe": True}


def import_all(app: Sphinx) -> None:
    """Import the public modules, and then into each that is there what it imports for type checkers."""
    # What awaitbatch.integrations.airflow asks for its version; the rest of Airflow is mocked.
    provider = ModuleType("airflow.providers.amazon")
    provider.__path__ = []
    provider.__version__ = "9.36"  # type: ignore[attr-defined]
    sys.modules[provider.__name__] = provider
    with mock(app.config.autodoc_mock_imports):
        for name in PUBLIC:
            module = importlib.import_module(name)
            for member in module.__all__:
                _places.setdefault(id(getattr(module, member)), f"{name}.{member}")
        modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "awaitbatch"]
        for module in modules:
            _import_for_type_checkers(module)
            for name in FOREIGN & vars(module).keys():
                setattr(module, name, type(name, (), {"__module__": vars(module)[name].__module__}))
        _resolve_aliases(modules)
        for name in ALIASES:
            # A union shows a class by its name, and a text by what Python makes of it.
            stand_in = type(name, (), {"__module__": "awaitbatch"})
            for module in modules:
                if name in vars(module) and module.__name__ != "awaitbatch":
                    setattr(module, name, stand_in)


def _import_for_type_checkers(module: ModuleType) -> None:
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), str(module.__file__), "exec"), module.__dict__)  # noqa: S102


def _resolve_aliases(modules: list[ModuleType]) -> None:
    """Let aliases that are written as text mean the same in the modules that import them."""
    resolved: dict[int, tuple[object, object]] = {}
    for module in modules:
        for name, value in vars(module).items():
            if re.fullmatch("_?[A-Z][A-Za-z]*[a-z]", name) and (isinstance(value, str) or get_origin(value)):
                holder = ModuleType("holder")
                holder.__annotations__ = {"alias": value}
                # It cannot be resolved where it is imported to.
                with suppress(NameError):
                    resolved[id(value)] = (value, get_type_hints(holder, vars(module))["alias"])
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in resolved:
                setattr(module, name, resolved[id(value)][1])


def find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Where a name leads that is not documented as it is written."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains["py"], node["reftarget"]
    thing = _thing(target)
    if isinstance(thing, TypeVar):
        return content
    documented = [place for place, entry in domain.objects.items() if not entry.aliased]
    place = _places.get(id(thing))
    if place is None:
        # A method of that name of several classes is none of them.
        places = [place for place in documented if place.endswith(f".{target}")]
        place = places[0] if len(places) == 1 else None
    if place in documented:
        found: nodes.Node | None = domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", place, node, content
        )
        return found
    # What a docstring has in single backticks; any other name that is not found is an error.
    return content if node["reftype"] == "obj" else None


def _thing(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def skip(_: Sphinx, what: str, name: str, value: object, __: bool, ___: object) -> bool | None:  # noqa: FBT001
    """Leave out what users never call, and of modules all that the page does not name."""
    if what == "module":
        return True
    module = getattr(value, "__module__", None) or ""
    return True if any(module.startswith(room) and name in names for room, names in OURS.items()) else None


def show_public_bases(_: Sphinx, __: str, ___: object, ____: object, bases: list[Any]) -> None:
    """Replace a private base by its own bases."""
    while private := [base for base in bases if _is_private(base)]:
        place = bases.index(private[0])
        of_it = getattr(get_origin(private[0]) or private[0], "__bases__", ())
        bases[place : place + 1] = [base for base in of_it if base.__name__ not in {"Generic", "object"}]
    if not bases:
        bases.append(object)


def _is_private(base: Any) -> bool:  # noqa: ANN401
    thing = get_origin(base) or base
    module = getattr(thing, "__module__", "")
    return module.partition(".")[0] == "awaitbatch" and id(thing) not in _places


def show_signature(
    _: Sphinx, what: str, __: str, value: object, ___: object, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Show no arguments of a class that users cannot make, and of others what is Python."""
    if signature is None:
        return None
    things = [_thing(path) for path in _PATH.findall(signature)]
    is_ours = any(id(thing) not in _places and not isinstance(thing, TypeVar) for thing in things)
    is_none = getattr(value, "_is_protocol", False) or signature.startswith(("(*args, ", "(*args: Any, "))
    if what == "class" and (is_ours or is_none):
        return "", None
    # Defaults that say nothing, or have no name that users have.
    return re.sub(r"<factory>|(?<== )_[A-Z_]+\b", "...", signature), returned


_unchanged: dict[str, list[str]] = {}


def before_napoleon(_: Sphinx, what: str, name: str, value: object, __: object, lines: list[str]) -> None:
    """Keep from Napoleon what it would take for the name of a type: all before a colon, of attributes and results."""
    if what in {"attribute", "data", "property"}:
        # It reads no sections there either, and "Raises" is the only one.
        place = lines.index("Raises:") if "Raises:" in lines else len(lines)
        raised = [f":raises {line.strip()}" for line in lines[place + 1 :] if line]
        _unchanged[name] = [*lines[:place], *raised]
    elif "Returns:" in lines:
        place = lines.index("Returns:")
        lines[place : place + 2] = [f":returns: {lines[place + 1].strip()}"]
    if isinstance(value, type) and issubclass(value, Exception):
        _add_what_to_do(name.rpartition(".")[2], lines)


def after_napoleon(_: Sphinx, __: str, name: str, ___: object, ____: object, lines: list[str]) -> None:
    """Give it back."""
    lines[:] = _unchanged.pop(name, lines)


def _add_what_to_do(error: str, lines: list[str]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", FAILURES.read_text(encoding="utf-8"), re.MULTILINE)
    advice = dict(rows).get(error)
    if advice is not None:
        # A link of Markdown's, which leads to the same page.
        advice = re.sub(r"\[(.+?)\]\(#.+?\)", r"\1", advice)
        # Napoleon takes what follows a section for a part of it.
        place = lines.index("Attributes:") if "Attributes:" in lines else len(lines)
        lines[place:place] = [f"**What to do:** {advice}.", ""]
