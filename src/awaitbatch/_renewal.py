"""What happens when credentials have gone bad and somebody can give others: he is asked once, for all calls."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from random import Random
from typing import TYPE_CHECKING, Final

from awaitbatch._core.suspicion import LASTING_SECONDS, LASTING_TRIES
from awaitbatch._core.text import error_line, quantity
from awaitbatch._failures import drop_tracebacks
from awaitbatch.instrumentation._events import CredentialsRenewed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from awaitbatch._core.connections import Connections, Use
    from awaitbatch._core.outcomes import Failure
    from awaitbatch.instrumentation._observers import Observers

_LONGEST_PAUSE: Final = 60.0
"""Seconds between two times that somebody is asked for credentials, at most."""


class Renewal:
    """Has credentials replaced that have gone bad, once for all calls.

    A call that fails because of its credentials goes back to where it waited. From then on no call leaves, until
    somebody has given others; then all go on as they were, with the same throttle, and nothing that is known of a job
    is forgotten. If the others are bad too, or if there are none, he is asked again after pauses that grow to a minute.

    It is given up once it has lasted, for 5 tries and 5 minutes, or after the first try if no call was ever answered.
    Then calls leave again, and what they fail with ends those who wait. He is still asked, at that pace, when a call
    has failed, and the first good answer ends all of this.

    Args:
        renew: Gives other credentials to all calls from then on; None if nobody can.
        connections: What calls leave over.
        observers: Who hears of it.

    Attributes:
        generation: How often credentials have been replaced. Who sends a call remembers it, and says it at the end.
    """

    def __init__(
        self, renew: Callable[[], Awaitable[None]] | None, connections: Connections, observers: Observers
    ) -> None:
        self.generation = 0
        self._renew = renew
        self._connections = connections
        self._observers = observers
        self._random = Random()  # noqa: S311
        self._loop = asyncio.get_running_loop()
        self._has_answer = False
        self._is_given_up = False
        # By what calls are for: since when they fail like this without a good answer, and when the last one did.
        self._bad: dict[Use, tuple[float, float]] = {}
        self._reason = ""
        # How often he was asked since all was well, when that ended last, and why he gave nothing then.
        self._tries = 0
        self._tried_at = -math.inf
        self._error: str | None = None
        self._wanted = asyncio.Event()

    def on_answer(self, use: Use, generation: int) -> None:
        """A call had an answer for which its credentials have to be good."""
        self._has_answer = True
        if generation == self.generation:
            self._is_given_up = False
            self._bad.pop(use, None)

    def judge(self, failure: Failure, use: Use, generation: int) -> Failure:
        """The failure of a call, as those have to take it who wait for the call."""
        if self._renew is None or not failure.needs_new_credentials:
            return failure
        if generation == self.generation:
            now = self._loop.time()
            self._note(use, now)
            self._reason = failure.message
            self._is_given_up = self._is_given_up or self._lasts(self._bad[use][0], now)
            self._wanted.set()
            if self._is_given_up:
                return dataclasses.replace(failure, lasts=True, message=self._with_tries(failure.message))
            self._connections.pause()
        return dataclasses.replace(failure, may_pass=True, awaits_credentials=True)

    async def run(self) -> None:
        """Ask for other credentials whenever a call needs them, until cancelled."""
        if self._renew is None:
            return
        while True:
            await self._wanted.wait()
            await asyncio.sleep(max(0.0, self._due_at() - self._loop.time()))
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001
                drop_tracebacks(error)
                self._error = error_line(error)
            else:
                self.generation += 1
                self._error = None
            self._tries += 1
            self._tried_at = now = self._loop.time()
            since = min((since for since, _ in self._bad.values()), default=now)
            if self._error is not None:
                self._is_given_up = self._is_given_up or self._lasts(since, now)
            self._observers.notify(
                CredentialsRenewed(
                    reason=self._reason, tries=self._tries, seconds=now - since, error=self._error
                )
            )
            if self._error is None or self._is_given_up:
                self._wanted.clear()
                self._connections.resume()

    def _note(self, use: Use, now: float) -> None:
        if now >= self._tried_at + LASTING_SECONDS and not self._is_given_up:
            # This is trouble of its own.
            self._tries = 0
        # Nobody may have called for long.
        self._bad = {each: times for each, times in self._bad.items() if now < times[1] + LASTING_SECONDS}
        since, _ = self._bad.get(use, (now, now))
        self._bad[use] = (since, now)

    def _lasts(self, since: float, now: float) -> bool:
        if not self._has_answer:
            return self._tries > 0
        return self._tries >= LASTING_TRIES and now >= since + LASTING_SECONDS

    def _due_at(self) -> float:
        pause = min(_LONGEST_PAUSE, 2.0 ** min(self._tries, 10))
        return self._tried_at + pause * self._random.uniform(0.5, 1.0)

    def _with_tries(self, message: str) -> str:
        asked = f"the factory was asked {quantity(self._tries, 'time', 'times')} for new credentials"
        in_vain = f", in the end in vain ({self._error})" if self._error else ""
        return f"{message.rstrip('. ')}; {asked}{in_vain}"
