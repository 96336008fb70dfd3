"""What botocore reads from disk to create a client: read quickly, and not kept for good."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.loaders import JSONFileLoader, create_loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiobotocore.session import AioSession

_OPENERS: Final[dict[str, Callable[..., Any]]] = {".json": open, ".json.gz": gzip.open}


class _PlainFiles(JSONFileLoader):  # type: ignore[misc]
    """Reads data into plain dicts.

    botocore's are ordered ones, which take twice the memory and, of the file of all endpoints, 60 ms in place of 12.
    Nothing else runs meanwhile, in whatever thread it is: the parser does not let go of the interpreter.
    """

    def load_file(self, file_path: str) -> Any:  # noqa: ANN401
        """The data of a file, given without its extension; None if there is none."""
        for extension, opener in _OPENERS.items():
            path = f"{file_path}{extension}"
            if Path(path).is_file():
                with opener(path, "rb") as file:
                    return json.load(file)
        return None


def use_plain_files(session: AioSession) -> None:
    """Have a session read data in that way; it has to be one of ours, since its user may read other data by it."""
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = _PlainFiles()
    session.register_component("data_loader", loader)


def load_models(session: AioSession) -> None:
    """Fill the session's cache with what creating a client reads from disk, the bulk of the time that it takes."""
    loader = session.get_component("data_loader")
    loader.load_service_model("batch", "service-2")
    loader.load_service_model("batch", "endpoint-rule-set-1")
    for name in ("partitions", "endpoints", "sdk-default-configuration", "_retry"):
        loader.load_data(name)


def forget_models(client: object, *, for_good: bool) -> None:
    """Drop what a client was created from, if its session was one of ours: it has megabytes.

    The client keeps what it goes on to use, and reads anew what it has no more.

    Args:
        client: The client.
        for_good: Whether the session will create no other, as for credentials that it renews. It refers to itself, so
            that without this its data would stay until the garbage collector looks at everything, which may be never.
    """
    loader = getattr(client, "_loader", None)
    if loader is None or not isinstance(loader.file_loader, _PlainFiles):
        return
    if for_good:
        loader.load_data("endpoints").clear()
    loader._cache.clear()  # noqa: SLF001
