"""Which call is under way, if it is one of ours."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

current_sender: Final[ContextVar[object | None]] = ContextVar("awaitbatch_sender", default=None)
"""The transport that sends it; None while no call of ours is under way.

Event handlers of a client that we share with its owner leave all other calls alone.
"""

current_request: Final[ContextVar[AWSPreparedRequest | None]] = ContextVar("awaitbatch_request", default=None)
"""What it carries, with secrets that the client may have renewed before the answer comes."""

is_answered: Final[ContextVar[bool]] = ContextVar("awaitbatch_is_answered", default=False)
"""Whether it was answered.

What fails from then on fails over the form of the answer, or in a hook of the user's, and AWS may have done what was
asked for.
"""
