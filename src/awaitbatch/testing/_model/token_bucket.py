"""The throttle of a modelled AWS account."""

from __future__ import annotations


class TokenBucket:
    """A bucket of `burst` tokens that gains `rate` tokens a second; each call takes one.

    Args:
        rate: Tokens gained a second.
        burst: The most tokens it holds, and those it holds at first; by default the gain of one second.

    Raises:
        ValueError: The rate is negative or the burst is below one call.
    """

    __slots__ = ("_burst", "_rate", "_seen", "_tokens")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate, self._burst = _checked(rate, burst)
        self._tokens = self._burst
        self._seen: float | None = None

    @property
    def rate(self) -> float:
        """Tokens gained a second."""
        return self._rate

    @property
    def burst(self) -> float:
        """The most tokens it holds."""
        return self._burst

    def take(self, now: float) -> bool:
        """Take one token, or say that there is none."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def change(self, rate: float, burst: float | None = None, *, now: float) -> None:
        """Go on with another rate and burst; the tokens in the bucket stay, as far as they fit."""
        self._fill(now)
        self._rate, self._burst = _checked(rate, burst)
        self._tokens = min(self._tokens, self._burst)

    def _fill(self, now: float) -> None:
        if self._seen is not None:
            # A clock that was set back adds nothing and takes nothing away.
            elapsed = max(now - self._seen, 0.0)
            self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        self._seen = now

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self._rate:g}, burst={self._burst:g}, tokens={self._tokens:.2f})"


def _checked(rate: float, burst: float | None) -> tuple[float, float]:
    if not rate >= 0:
        message = f"a bucket cannot gain {rate!r} tokens a second"
        raise ValueError(message)
    if burst is None:
        return rate, max(rate, 1.0)
    if not burst >= 1:
        message = f"a bucket with room for {burst!r} tokens lets no call pass"
        raise ValueError(message)
    return rate, burst
