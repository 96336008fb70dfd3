"""The provider's hook, for clients that an event loop uses."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

if TYPE_CHECKING:
    from collections.abc import Callable


class AsyncHook(AwsBaseHook):
    """Makes sessions that let the loop go on while they refresh credentials, and whose clients are quick to create."""

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
        """As the provider's, but credentials are refreshed in a thread, and botocore's data are read in this one."""
        from awaitbatch._models import load_models, use_lean_files

        session = super().get_session(region_name=region_name, deferrable=deferrable)
        if deferrable:
            _refresh_in_thread(session)
            use_lean_files(session)
            load_models(session)
        return session

    def _get_caller(self, target_function_name: str = "execute") -> str:  # noqa: ARG002
        """Its name, for the user agent; the provider reads the sources of the whole stack, to find an operator."""
        return "awaitbatch"


def _refresh_in_thread(session: Any) -> None:  # noqa: ANN401
    """Credentials of a role are refreshed by the provider with calls that block, for minutes if STS does not answer."""
    credentials = getattr(session, "_credentials", None)
    refresh: Callable[[], Any] | None = getattr(credentials, "_refresh_using", None)
    if refresh is None or inspect.iscoroutinefunction(refresh):
        return

    async def refresh_using() -> Any:  # noqa: ANN401
        return await asyncio.to_thread(refresh)

    credentials._refresh_using = refresh_using  # type: ignore[union-attr]  # noqa: SLF001
