"""What botocore reads from disk to create a client: only what is needed of it, and not kept for good."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.loaders import JSONFileLoader, create_loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobotocore.session import AioSession

_OPENERS: Final[dict[str, Callable[..., Any]]] = {".json": open, ".json.gz": gzip.open}

_SERVICES: Final = frozenset({"batch", "oidc", "portal.sso", "signin", "sso", "sts"})
"""AWS Batch, and the services that give credentials."""


class _LeanFiles(JSONFileLoader):  # type: ignore[misc]
    """Reads data as plain dicts, and of the endpoints of all services those that are wanted.

    botocore's dicts are ordered ones, which take longer and twice the memory. Nothing else runs meanwhile, in whatever
    thread it is: the parser does not let go of the interpreter. And the endpoints of all services are 20,000 objects,
    for which the garbage collector would look at everything that there is.
    """

    def load_file(self, file_path: str) -> Any:  # noqa: ANN401
        """The data of a file, given without its extension; None if there is none."""
        for extension, opener in _OPENERS.items():
            path = Path(f"{file_path}{extension}")
            if path.is_file():
                with opener(path, "rb") as file:
                    content: bytes = file.read()
                return _endpoints(content) if path.stem == "endpoints" else json.loads(content)
        return None


def _endpoints(content: bytes) -> Any:  # noqa: ANN401
    try:
        data = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        partitions = msgspec.json.decode(data["partitions"], type=list[dict[str, msgspec.Raw]])
        return {
            **_decoded(data, but="partitions"),
            "partitions": [_partition(partition) for partition in partitions],
        }
    except (msgspec.MsgspecError, KeyError):
        # It is not botocore's own file, which AWS_DATA_PATH can replace.
        return json.loads(content)


def _partition(partition: dict[str, msgspec.Raw]) -> dict[str, Any]:
    services = msgspec.json.decode(partition["services"], type=dict[str, msgspec.Raw])
    wanted = {name: services[name] for name in services.keys() & _SERVICES}
    return {**_decoded(partition, but="services"), "services": _decoded(wanted)}


def _decoded(members: dict[str, msgspec.Raw], but: str | None = None) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in members.items() if name != but}


def use_lean_files(session: AioSession) -> None:
    """Have a session read data in that way; it has to be one of ours, since its user may want other services' data."""
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = _LeanFiles()
    session.register_component("data_loader", loader)


def load_models(session: AioSession) -> None:
    """Fill the session's cache with what creating a client reads from disk, the bulk of the time that it takes."""
    loader = session.get_component("data_loader")
    loader.load_service_model("batch", "service-2")
    loader.load_service_model("batch", "endpoint-rule-set-1")
    for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
        loader.load_data(name)


def forget_models(client: object) -> None:
    """Empty the cache that a client was created from, if its session was one of ours: a megabyte that is not needed."""
    loader = getattr(client, "_loader", None)
    if loader is not None and isinstance(loader.file_loader, _LeanFiles):
        loader._cache.clear()  # noqa: SLF001
