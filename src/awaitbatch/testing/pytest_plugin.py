"""What pytest offers where awaitbatch is installed: a model of AWS Batch, a client of it, moto, and virtual time.

| name | scope | is |
|---|---|---|
| mark ``virtual_time`` | | runs an async test on a clock that jumps, with pytest-asyncio or anyio's plugin |
| `batch_server` | test | a `BatchServer`: in process for a test in virtual time, else over HTTP from its own thread |
| `batch_client` | test | an open `BatchClient` that calls it, for async tests and their async fixtures |
| `batch_server_options`, `batch_client_options` | test | arguments for these two; to be overridden |
| `moto_batch_server` | session | a `MotoServer`; tests are skipped where moto is missing |

pytest loads this module in each of its runs, whatever is tested, so it imports nothing before that is wanted. ``pytest
-p no:awaitbatch`` does without it.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping

    from awaitbatch import BatchClient
    from awaitbatch.testing import BatchServer, MotoServer

_MARK: Final = "virtual_time"
_ANYIO: Final = "anyio_backend"
_CLIENT_ON_ANYIO: Final = "_batch_client_on_anyio"
_CLIENT_IN_LOOP: Final = "_batch_client_in_{}_loop"
_SCOPES: Final = ("function", "class", "module", "package", "session")


@pytest.fixture
def batch_server_options() -> dict[str, Any]:
    """Keyword arguments of the `BatchServer` that `batch_server` gives; override it to choose them.

    By a fixture of that name in a ``conftest.py``, a module or a class, or for one test by
    ``@pytest.mark.parametrize("batch_server_options", [{"latency": 0.2}])``.
    """
    return {}


@pytest.fixture
def batch_client_options() -> dict[str, Any]:
    """Keyword arguments of the `BatchClient` that `batch_client` gives; overridden like `batch_server_options`."""
    return {}


@pytest.fixture
def batch_server(
    request: pytest.FixtureRequest, batch_server_options: dict[str, Any]
) -> Iterator[BatchServer]:
    """A running `BatchServer`, a new one for each test, for synchronous tests and async ones of all kinds.

    In virtual time it has the clock of the test's event loop, and is called without a network:
    ``BatchClient(transport=batch_server.transport())``. Otherwise it listens on the loopback address, from a thread of
    its own: ``BatchClient(**batch_server.client_arguments)``, or any AWS client. Its ids and chances are the same in
    each run, as its `seed` is 0 unless `batch_server_options` says otherwise.
    """
    from awaitbatch.testing import BatchServer, _fixtures

    options = {"seed": 0, **batch_server_options}
    if _is_in_virtual_time(request):
        yield _fixtures.InProcessServer(**options)
        return
    server = BatchServer(**options)
    with _fixtures.running_elsewhere(server):
        yield server


@pytest.fixture
def batch_client(request: pytest.FixtureRequest) -> BatchClient:
    """A `BatchClient` that calls `batch_server`, opened on the event loop of the test and closed after it.

    It works in tests that pytest-asyncio 1.0 or newer runs, or anyio's plugin on asyncio, and in their async fixtures.
    """
    client: BatchClient = request.getfixturevalue(_client_fixture_for(request))
    return client


@pytest.fixture(scope="session")
def moto_batch_server() -> Iterator[MotoServer]:
    """A running `MotoServer`, in a process of its own and in real time.

    As it takes a second or two to start, all tests share one, and the jobs of earlier tests are still there. The tests
    are skipped where the extra ``moto`` is not installed.
    """
    from awaitbatch.testing import MotoServer, _fixtures

    server = MotoServer()
    with ExitStack() as stack:
        try:
            stack.enter_context(_fixtures.running_elsewhere(server))
        except ModuleNotFoundError as error:
            pytest.skip(str(error))
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Keep pytest from compiling all of awaitbatch anew, to explain asserts that fail, as it does for plugins.

    Where no bytecode is written that would cost each run half a second. There is no public way, so a pytest that has
    other names for it just takes that time.
    """
    hook: Any = early_config.pluginmanager.rewrite_hook
    with suppress(AttributeError):
        hook._must_rewrite.discard("awaitbatch")  # noqa: SLF001
        hook._marked_for_rewrite_cache.clear()  # noqa: SLF001


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and a client for each kind of loop that pytest-asyncio has, if it is there."""
    config.addinivalue_line(
        "markers", f"{_MARK}: run this async test on a clock that jumps to the next timer"
    )
    if config.pluginmanager.hasplugin("asyncio"):
        # Those of versions before 0.24 know no scopes of loops; no run may fail for that.
        with suppress(TypeError):
            config.pluginmanager.register(_clients_on_pytest_asyncio())


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Iterator[None]:
    """Choose the event loop of a test that has the mark, for whichever plugin is to run it."""
    if metafunc.definition.get_closest_marker(_MARK) is None:
        yield
        return
    if _ANYIO in metafunc.fixturenames and not _is_parametrized(metafunc.definition, _ANYIO):
        from awaitbatch.testing.virtual_time import ANYIO_BACKEND

        # As if the test said so: a mark is what all of pytest asks.
        backends = pytest.mark.parametrize(_ANYIO, [ANYIO_BACKEND], ids=[_MARK], scope="session")
        metafunc.definition.add_marker(backends)
    plugins = metafunc.config.pluginmanager
    plugins.register(_loop_of_the_mark)
    try:
        yield
    finally:
        plugins.unregister(_loop_of_the_mark)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Refuse to run a test in real time that has the mark, and end one that hangs in virtual time."""
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
        return
    if item.get_closest_marker(_MARK) is not None or _is_virtual(item.funcargs.get(_ANYIO)):
        item.obj = _in_virtual_time_only(item.obj)


@pytest.fixture(name=_CLIENT_ON_ANYIO)
async def _client_on_anyio(
    batch_server: BatchServer, batch_client_options: dict[str, Any]
) -> AsyncIterator[BatchClient]:
    from awaitbatch.testing import _fixtures

    async with _fixtures.client_of(batch_server, batch_client_options) as client:
        yield client


def _clients_on_pytest_asyncio() -> type:
    """A plugin with a fixture for each scope that a test's loop may have: a client must be opened on that very loop."""
    import pytest_asyncio

    # Its types know of no fixture that is no coroutine function, though it sets the loop for those, too.
    fixture: Any = pytest_asyncio.fixture

    def in_loop_of(scope: str) -> Any:  # noqa: ANN401
        # anyio's plugin would take a coroutine function for its own, if the test has marks for both.
        def open_client(
            batch_server: BatchServer, batch_client_options: dict[str, Any]
        ) -> Iterator[BatchClient]:
            import asyncio

            from awaitbatch.testing import _fixtures

            # pytest-asyncio has set it to that of the scope.
            loop = asyncio.get_event_loop()
            client = _fixtures.client_of(batch_server, batch_client_options)
            loop.run_until_complete(client.__aenter__())
            try:
                yield client
            finally:
                loop.run_until_complete(client.__aexit__(None, None, None))

        return fixture(open_client, loop_scope=scope, name=_CLIENT_IN_LOOP.format(scope))

    return type("ClientsOnPytestAsyncio", (), {scope: in_loop_of(scope) for scope in _SCOPES})


def _client_fixture_for(request: pytest.FixtureRequest) -> str:
    """The fixture that opens a client on the loop of a test."""
    if request.config.pluginmanager.hasplugin("asyncio"):
        import pytest_asyncio

        if pytest_asyncio.is_async_test(request.node):
            mark = request.node.get_closest_marker("asyncio")
            chosen = mark.kwargs.get("loop_scope") if mark is not None else None
            return _CLIENT_IN_LOOP.format(chosen or request.config.getini("asyncio_default_test_loop_scope"))
    if _ANYIO in request.fixturenames:
        backend = request.getfixturevalue(_ANYIO)
        library = backend if isinstance(backend, str) else backend[0]
        if library == "asyncio":
            return _CLIENT_ON_ANYIO
        pytest.fail(
            f"batch_client needs asyncio, as BatchClient does, and this test runs on {library}", pytrace=False
        )
    if inspect.iscoroutinefunction(request.function):
        pytest.fail(
            "no plugin runs this async test: give it the mark anyio, or with pytest-asyncio the mark asyncio",
            pytrace=False,
        )
    pytest.fail(
        "batch_client is for async tests that pytest-asyncio or anyio's plugin runs; a synchronous test may write "
        "`with awaitbatch.threads.shared(**batch_server.client_arguments) as client:`",
        pytrace=False,
    )


def _is_in_virtual_time(request: pytest.FixtureRequest) -> bool:
    if request.node.get_closest_marker(_MARK) is not None:
        return True
    return _ANYIO in request.fixturenames and _is_virtual(request.getfixturevalue(_ANYIO))


def _is_virtual(backend: object) -> bool:
    """Whether it is one of anyio's with our loop."""
    if not isinstance(backend, tuple):
        return False
    from awaitbatch.testing.virtual_time import VirtualTimeLoop

    _, options = backend
    factory = options.get("loop_factory")
    return inspect.isclass(factory) and issubclass(factory, VirtualTimeLoop)


def _is_parametrized(definition: pytest.Function, name: str) -> bool:
    def names(mark: pytest.Mark) -> list[str]:
        given = mark.args[0] if mark.args else mark.kwargs["argnames"]
        return [one.strip() for one in given.split(",")] if isinstance(given, str) else list(given)

    return any(name in names(mark) for mark in definition.iter_markers("parametrize"))


class _LoopOfTheMark:
    """Tells pytest-asyncio on which loop to run a test that has the mark.

    It is registered only while such a test is asked about: who has this hook must know a loop for every test.
    """

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], AbstractEventLoop]]:
        from awaitbatch.testing.virtual_time import VirtualTimeLoop

        return {_MARK: VirtualTimeLoop}


_loop_of_the_mark: Final = _LoopOfTheMark()


def _in_virtual_time_only(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    @functools.wraps(test)
    async def call(*args: object, **kwargs: object) -> None:
        __tracebackhide__ = True
        import asyncio

        from awaitbatch.testing.virtual_time import VirtualTimeLoop

        try:
            loop: object = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if not isinstance(loop, VirtualTimeLoop):
            runs_on = (
                "no loop of asyncio's" if loop is None else f"{type(loop).__module__}.{type(loop).__name__}"
            )
            pytest.fail(
                f"the mark {_MARK} needs awaitbatch's VirtualTimeLoop, and this test runs on {runs_on}. "
                "pytest-asyncio knows the mark from version 1.4 on, and anyio's plugin where the test chooses no "
                "anyio_backend of its own; anywhere else, a synchronous test may call virtual_time.run()",
                pytrace=False,
            )
        await loop.run_test(test(*args, **kwargs))

    return call
