"""What makes two users' clients one: where calls go, whence the credentials come, and how they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiobotocore.config import AioConfig

if TYPE_CHECKING:
    from collections.abc import Hashable

    from awaitbatch._config import ClientConfig

_BY_VALUE: Final = (
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name"),
    *("region_name", "endpoint_url", "verify", "use_ssl"),
)
_BY_IDENTITY: Final = ("session", "client", "transport")
"""All these and the config make a client another one; the factory has a key of the user's instead."""


def key_of(config: ClientConfig, key: Hashable) -> Hashable:
    """Something equal for users who get one client; ``key`` tells those of factories apart.

    What is compared by identity is kept alive by the client that has it, so its id is nobody else's meanwhile.
    """
    values = tuple(hashable(getattr(config, name)) for name in _BY_VALUE)
    identities = tuple(id(getattr(config, name)) for name in _BY_IDENTITY)
    return (key, values, identities, options_of(config.config))


def options_of(config: object) -> Hashable:
    """The options of an AioConfig that its user gave; two of the same are not equal in Python's sense."""
    config = AioConfig() if config is None else config
    options = getattr(config, "_user_provided_options", None)
    # Not all versions of AioConfig have its own ones among them.
    own = (getattr(config, "connector_args", None), getattr(config, "http_session_cls", None))
    return hashable(config if options is None else (_as_botocore_leaves(options), *own))


def _as_botocore_leaves(options: dict[str, Any]) -> dict[str, Any]:
    """The same options, with the retries as they stand in them once somebody has created a client with them."""
    retries = options.get("retries")
    if not isinstance(retries, dict):
        return options
    left = {"mode": "legacy", **retries}
    if "max_attempts" in left:
        left["total_max_attempts"] = left.pop("max_attempts") + 1
    return {**options, "retries": left}


def hashable(value: object) -> Hashable:
    """Something equal for equal values; what is neither a container nor hashable is equal to itself alone."""
    if isinstance(value, dict):
        return frozenset((key, hashable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(hashable, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(hashable, value))
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
