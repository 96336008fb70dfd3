"""When may the next call go, under a limit that nobody can know in advance."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleParameters:
    """How a throttle begins, grows and cuts; the defaults are those for DescribeJobs.

    AWS limits each operation on its own, and no two at the same rate, so each may need other values.

    Attributes:
        start_rate: Calls a second before anything is known: few enough for any account, and enough that somebody who
            makes three calls one after the other hardly feels it.
        min_rate: Calls a second below which congestion never pushes the rate, so that waiting never turns into giving
            up.
        rest: Seconds without congestion after which a rate that is not used returns to `start_rate`, if it was cut
            below it; what a storm has taught would hold up a single call hours later.
        fast_growth: Factor on the rate for each good answer until the first congestion. Until then nothing is known of
            the limit, and it may be far away.
        recent: Seconds before the first congestion whose answered calls say what the limit is, at most. Fast growth
            overshoots, and the rate that it has reached says nothing.
        approach: Share of the rate that it gains each second after that, on top of `increase` / rate, until a cut was
            measured. Fast growth takes less than `recent`, so that its answers may say too little.
        evidence: Seconds from the first congestion on after which the calls answered since then say what the limit is.
        settle: Seconds from the first congestion on in which a cut leads only as far down as what was answered since
            then. It has to end, since such cuts are too small to make several clients equal.
        kept: The share of it, or of the rate if that is less, that such a cut keeps; below 1, or it would be none.
        increase: By how much the rate grows after it: `increase` / rate calls a second each second. Whoever has more
            grows less, which is what makes several clients equal.
        cut: Factor on the rate for each congestion event. A deeper one leaves more of the limit unused, a smaller one
            makes clients equal later.
        most_growth: The most that one good answer multiplies the rate by after the first congestion. At a low rate a
            call stands for many seconds, and one answer is thin evidence.
        drift: The most by which one of several rejections in a row puts off the next call, as a share of the time
            between two. Calls at equal distances could meet the account's bucket for ever at a moment at which a
            neighbour has just emptied it.
        calm: Seconds of use without congestion after which the rate grows faster: the limit has been raised, or a
            neighbour has left; and at a high rate the way back from a cut is long.
        search: Share of the rate that it then gains each second on top of `increase` / rate; 0 for no faster growth.
        low_rate: Calls a second below which a limit leaves next to no room for trying, as its bucket holds a call or
            two; so the steps are smaller there. 0 if they are to be the same everywhere.
        low_increase: Share of the rate that each good answer adds after a cut that would have led below `low_rate`.
        low_cut: Factor on the rate for such a cut.
        low_answers: Good answers for which the rate then grows by `low_increase`. They should make up for two such
            cuts in a row, and end, so that an unlucky one of several clients does not stay behind.
        retry: Seconds after which a call follows one that was rejected, at a rate below `low_rate`. The token that it
            lacked comes soon, and whoever waits for long finds that a neighbour has taken it.
        retry_growth: Share of `retry` by which each rejection that no answer has made up for puts it off further.
        retries: So many rejections that no answer has made up for are a storm. Then calls are `1 / rate` apart again,
            and each rejection cuts the rate.
        retries_regained: Rejections that a good answer makes up for.
        patience: Periods of `1 / rate` without an answer after which such a rejection cuts the rate by `low_cut`. That
            a token is not there yet says nothing of the rate, but that none comes for so long does.
        early: Share of the rate at the last cut below which another cut is due to a neighbour, at a rate below
            `low_rate`: the client itself has been faster without a rejection.
        shared_increase: Calls a second that each good answer adds in the neighbourhood that this reveals, at a rate
            below `low_rate`. It is more than a lone client may try, and the more the lower the rate is.
        shared_cuts: Cuts until a client takes itself to be alone again, if its neighbours cause none of them.

    Raises:
        ValueError: A value is out of range or not a number, so that the rate would never grow, never fall, or not come
            down in a storm.
    """

    start_rate: float = 5.0
    min_rate: float = 0.1
    rest: float = 60.0
    fast_growth: float = 1.5
    recent: float = 1.0
    approach: float = 0.15
    evidence: float = 2.0
    settle: float = 10.0
    kept: float = 0.98
    increase: float = 0.7
    cut: float = 0.8
    most_growth: float = 1.25
    drift: float = 0.5
    calm: float = 20.0
    search: float = 0.06
    low_rate: float = 2.0
    low_increase: float = 0.0075
    low_cut: float = 0.85
    low_answers: int = 32
    retry: float = 0.3
    retry_growth: float = 0.03
    retries: int = 80
    retries_regained: int = 8
    patience: float = 4.0
    early: float = 0.94
    shared_increase: float = 0.02
    shared_cuts: int = 6

    def __post_init__(self) -> None:
        # No comparison with NaN holds.
        rules = {
            "0 < min_rate <= start_rate < inf": 0 < self.min_rate <= self.start_rate < math.inf,
            "0 <= rest < inf": 0 <= self.rest < math.inf,
            "1 < fast_growth < inf": 1 < self.fast_growth < math.inf,
            "0 < recent < inf": 0 < self.recent < math.inf,
            "0 <= approach < inf": 0 <= self.approach < math.inf,
            "0 < evidence < inf": 0 < self.evidence < math.inf,
            "0 <= settle < inf": 0 <= self.settle < math.inf,
            "0 < kept < 1": 0 < self.kept < 1,
            "0 < increase < inf": 0 < self.increase < math.inf,
            "0 < cut <= low_cut < 1": 0 < self.cut <= self.low_cut < 1,
            "0 <= drift < inf": 0 <= self.drift < math.inf,
            "0 <= calm < inf": 0 <= self.calm < math.inf,
            "0 <= search < inf": 0 <= self.search < math.inf,
            "0 <= low_rate < inf": 0 <= self.low_rate < math.inf,
            # A storm's cycle of one answer, one small cut and one deep one has to lead downwards.
            "most_growth * cut * low_cut < 1": self.most_growth * self.cut * self.low_cut < 1,
            "1 < most_growth": self.most_growth > 1,
            "1 <= 1 + low_increase <= most_growth": 1 <= 1 + self.low_increase <= self.most_growth,
            "0 < retry < inf": 0 < self.retry < math.inf,
            "0 <= retry_growth < inf": 0 <= self.retry_growth < math.inf,
            "0 <= patience < inf": 0 <= self.patience < math.inf,
            "0 < early < 1": 0 < self.early < 1,
            "0 <= shared_increase < inf": 0 <= self.shared_increase < math.inf,
        }
        # They are counted.
        for name in ("low_answers", "retries", "retries_regained", "shared_cuts"):
            count = getattr(self, name)
            rules[f"a whole number of {name}"] = count >= 0 and count % 1 == 0
        for rule, holds in rules.items():
            if not holds:
                message = f"a throttle needs {rule}, not {self!r}"
                raise ValueError(message)


class AdaptiveThrottle:
    """Spaces calls and learns how far apart they have to be.

    The rate grows by a factor for each good answer until the first congestion, then by `increase` / rate calls a second
    each second; both only while it is the throttle that calls wait for, since a rate that is not used has not been
    tried. One congestion event cuts the rate once: neither rejections nor answers of calls that were on their way when
    the rate was last cut say anything about the new rate, so they are ignored (as QUIC's congestion control does).

    The growth and the cut are inverse increase, multiplicative decrease, one of the binomial controls that make several
    clients of one account converge to equal shares without knowing of each other (Bansal and Balakrishnan, 2001).
    Whoever has more grows less, which evens out what chance did faster than additive increase does. Four cases depart
    from it:

    - Fast growth ends far above the limit, since a full bucket lets calls pass at any rate for a while. So the first
      cut leads to the number of calls that were answered in the last second, if that is enough to say something. From
      then on the bucket is empty, and the calls answered between two congestions are what it gained, whatever the rate
      was. The rate grows faster until a cut could be measured in this way, and for a few seconds no cut leads far below
      what was measured, as a bucket that was just emptied has no slack.
    - After `calm` seconds of use without congestion the rate grows faster.
    - A limit below `low_rate` has next to no burst, so that the first call that is too fast is rejected, and a step of
      `increase` is a large one there. So if a cut would lead below it both steps are small, unless no call was
      answered since the cut before: then it is a storm and not a limit that is nearly known.
    - Two clients that share such a limit meet at a bucket that holds one token. Whoever is faster comes when the token
      does; the other one finds none, is cut, and comes even less often. So a rejected call is followed by the next one
      soon (see `retry`), and until one was answered further rejections cut the rate only if that takes long (see
      `patience`), or if they are so many that it is a storm (see `retries`). Each token that a slow client gets in this
      way costs a fast one a rejection and a cut, so that both become equal. Clients that notice each other (see
      `early`) grow faster than a lone one, or both would stay slow.

    While no call is answered, each rejection also puts off the next call by a little, drawn at random (see `drift`).
    In any t seconds it lets at most 1 + ``max_rate`` · t calls go.

    Args:
        max_rate: Never more than so many calls a second.
        random: Draws by how much a rejection puts off the next call.
        parameters: How it begins, grows and cuts.
    """

    def __init__(
        self, max_rate: float, random: Random, parameters: ThrottleParameters = ThrottleParameters()
    ) -> None:
        self.max_rate = max_rate
        self._random = random
        self._parameters = parameters
        self._drift = 0.0
        self._start_rate = min(parameters.start_rate, max_rate)
        self._min_rate = min(parameters.min_rate, max_rate)
        self.rate = self._start_rate
        self._growing_fast = True
        self._is_bottleneck = False
        self.sent_at = -math.inf
        # When the last call before the latest cut was sent, which is close enough to when it was cut.
        self._throttled_at = -math.inf
        self._newest = 0
        self._last_cut = 0
        # Of the time since the last cut: the seconds of use, whether a call was answered, and for how many good answers
        # the rate is still to grow by `low_increase`.
        self._calm = 0.0
        self._has_answer = False
        self._low_answers = 0
        # Seconds from the last call to the next one if it is to follow soon, or 0; the rejections that no answer has
        # made up for; the rate at the last cut; and how many more cuts a neighbourhood is believed in.
        self._retry = 0.0
        self._rejections = 0
        self._cut_at = 0.0
        self._shared_cuts = 0
        # Until the first congestion: when calls were answered, of the last `recent` seconds.
        self._answered_at = deque[float]()
        # From then on, if they said what the limit is: since when, and how many calls were answered since. None once
        # cuts are as usual.
        self._measured_from: float | None = None
        self._answered = 0
        self._approaching = False

    def __repr__(self) -> str:
        phase = "until first congestion" if self._growing_fast else "after congestion"
        return f"<AdaptiveThrottle {self.rate:.2f} of at most {self.max_rate:g} calls/s, {phase}>"

    def limit(self, max_rate: float) -> None:
        """Send at most so many calls a second from now on; what is higher than the present limit changes nothing."""
        self.max_rate = min(max_rate, self.max_rate)
        self._start_rate = min(self._start_rate, self.max_rate)
        self._min_rate = min(self._min_rate, self.max_rate)
        self.rate = min(self.rate, self.max_rate)
        self._retry = 0.0

    @property
    def ready_at(self) -> float:
        """When the next call may go; -inf before the first."""
        return self.sent_at + (1 + self._drift) * (self._retry or 1 / self.rate)

    @property
    def at_floor(self) -> bool:
        """Whether the rate cannot be cut any further."""
        return self.rate <= self._min_rate

    def on_sent(self, number: int, now: float, due: float) -> None:
        """A call goes, at or after `ready_at`; without the throttle it would have gone when it was ``due``.

        Numbers grow from call to call.
        """
        self._is_bottleneck = due < self.ready_at
        if not self._is_bottleneck and now >= self._throttled_at + self._parameters.rest:
            # What was learnt in a storm that is long over says nothing any more, and would hold up a describe.
            self.rate = max(self.rate, self._start_rate)
            self._low_answers = self._shared_cuts = self._rejections = 0
        self._newest = number
        self.sent_at = now
        self._drift = self._retry = 0.0

    def on_answer(self, number: int, now: float) -> None:
        """A call was answered, so the rate may grow."""
        # Whenever it was sent, it took a token.
        if self._growing_fast:
            self._answered_at.append(now)
            self._forget_answers(now)
        elif self._measured_from is not None:
            self._answered += 1
        self._rejections = max(0, self._rejections - self._parameters.retries_regained)
        if number <= self._last_cut:
            # It left at the rate of before, and says nothing about the new one.
            return
        self._has_answer = True
        if self._is_bottleneck:
            self.rate = min(self.max_rate, self._grown())

    def _grown(self) -> float:
        rate, parameters = self.rate, self._parameters
        if self._growing_fast:
            return rate * parameters.fast_growth
        # A call stands for 1/rate seconds.
        seconds = 1 / rate
        self._calm += seconds
        if self._low_answers:
            self._low_answers -= 1
            if self._shared_cuts:
                return min(rate + parameters.shared_increase, rate * parameters.most_growth)
            return rate * (1 + parameters.low_increase)
        increase = parameters.increase / rate
        if self._approaching:
            increase += parameters.approach * rate
        elif self._calm > parameters.calm:
            increase += parameters.search * rate
        # At the floor a call stands for a long time, and one good answer is thin evidence.
        return min(rate + increase * seconds, rate * parameters.most_growth)

    def on_throttled(self, number: int, now: float) -> bool:
        """A call was rejected for coming too fast; True if that cut the rate."""
        parameters = self._parameters
        if not self._has_answer:
            self._drift = self._random.uniform(0, parameters.drift)
        if number <= self._last_cut:
            return False
        if not self._has_answer and self._try_again_soon():
            self._last_cut = self._newest
            if now < self._throttled_at + parameters.patience / self.rate:
                return False
            self._throttled_at = self.sent_at
            self.rate = max(self._min_rate, self.rate * parameters.low_cut)
            return True
        rate = self.rate * parameters.cut
        is_low = rate < parameters.low_rate and self._has_answer and not self._growing_fast
        self._low_answers = parameters.low_answers if is_low else 0
        if is_low:
            rate = self.rate * parameters.low_cut
            # The steps beside neighbours are larger, and the last cut may have come one of them too late.
            steps = 2 * parameters.shared_increase if self._shared_cuts else 0.0
            is_early = self.rate < parameters.early * self._cut_at - steps
            self._shared_cuts = parameters.shared_cuts if is_early else max(0, self._shared_cuts - 1)
            self._cut_at = self.rate
        if self._growing_fast:
            rate = min(rate, self._leave_fast_growth(now))
        elif self._measured_from is not None:
            rate = max(rate, self._measure(self._measured_from, now))
        self._last_cut = self._newest
        self._throttled_at = self.sent_at
        self._calm = 0.0
        self._has_answer = False
        self.rate = max(self._min_rate, rate)
        self._try_again_soon()
        return True

    def _try_again_soon(self) -> bool:
        """Whether the next call follows soon, and not at the rate: at low rates, until it is a storm."""
        parameters = self._parameters
        if self._growing_fast or self.rate >= parameters.low_rate or self._rejections >= parameters.retries:
            return False
        retry = parameters.retry * (1 + parameters.retry_growth * self._rejections)
        self._retry = min(max(retry, 1 / self.max_rate), 1 / self.rate)
        self._drift = self._random.uniform(0, parameters.drift)
        self._rejections += 1
        return True

    def _leave_fast_growth(self, now: float) -> float:
        """What the first congestion says of the limit, as the most that the rate may be; inf if it says nothing."""
        self._growing_fast = False
        self._forget_answers(now)
        # Where fast growth took less than this, a longer one would have seen more; `approach` makes up for it.
        answered = len(self._answered_at) / self._parameters.recent
        self._answered_at.clear()
        if answered < self._start_rate:
            # The limit is a low one, for which cuts and growth as usual are careful enough, or the rate was not used.
            return math.inf
        self._measured_from = now
        self._approaching = True
        return answered

    def _measure(self, begin: float, now: float) -> float:
        """What a later congestion says of the limit, as the least that the rate may be; 0 if it says nothing."""
        parameters = self._parameters
        seconds = now - begin
        if seconds < parameters.evidence:
            return 0.0
        self._approaching = False
        if seconds >= parameters.settle:
            self._measured_from = None
        # It is a cut even if the rate had not come up to the limit, or a storm within these seconds would not end.
        return parameters.kept * min(self.rate, self._answered / seconds)

    def _forget_answers(self, now: float) -> None:
        """Keep those of the last `recent` seconds; they are about as many as the calls sent in them."""
        while self._answered_at and self._answered_at[0] < now - self._parameters.recent:
            self._answered_at.popleft()
