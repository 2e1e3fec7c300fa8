"""Who may begin a request: asks Valkey for all routers, and decides by this router's share where Valkey is slow or gone.

The request path calls `submit` (or `admit`, where it can wait) for keys and projects that have limits, and settles the lease that
it is given when the request has ended, however it ended. `run` has to run beside it: it sends what was asked since its last
round in one round trip, with the corrections, and renews the slots of what is under way. No caller waits longer than the
timeout and none sees an exception.

An answer that comes after its caller was served from the local share is not thrown away: what Valkey counted is kept where the
request began, and given back where it did not.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from hostler_domain.limits import Limits
from hostler_kit.breaker import Breaker, BreakerState
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_kit.valkey import ScriptCall, ValkeyUnavailable
from hostler_router.limit_rules import UNLIMITED, Asked, Outcome, Verdict, subjects_of, verdict
from hostler_router.limits_held import Ask, Done, HeldLease, HeldSlots, LimitCounts, Owed
from hostler_router.limits_local import LocalLimits
from hostler_router.limits_store import LimitStore, outcome_of

BREAKER_FAILURES_MAX: Final = 3
BREAKER_REST_SECONDS: Final = 1.0
_AT_ONCE_MAX: Final = 500
_CORRECTIONS_MAX: Final = 10_000
_CORRECTION_DELAY_SECONDS: Final = 0.02
"""For company: nobody waits for a correction."""
_LOOK_SECONDS: Final = 0.25


class Limiter:
    """All limits of one router; to be made within its event loop."""

    def __init__(
        self,
        store: LimitStore | None,
        *,
        clock: Clock,
        routers: Callable[[], int],
        timeout_seconds: float,
        lease_seconds: float,
        logger: Logger,
        breaker: Breaker | None = None,
    ) -> None:
        """Decide nothing yet.

        Args:
            store: None where there is no Valkey: then every router counts its share for good.
            clock: The time.
            routers: How many router processes are alive, this one among them.
            timeout_seconds: How long a request may wait for Valkey.
            lease_seconds: After how long Valkey forgets a request of a router that died; as the store's.
            logger: For the breaker's changes.
            breaker: Another one than usual.
        """
        self._store = store
        self._clock = clock
        self._routers = routers
        self._timeout_seconds = timeout_seconds
        self._lease_seconds = lease_seconds
        self._logger = logger
        self._breaker = breaker or Breaker(
            failures_max=BREAKER_FAILURES_MAX,
            rest_seconds=BREAKER_REST_SECONDS,
            monotonic=clock.monotonic,
        )
        self.counts = LimitCounts()
        self._loop = asyncio.get_running_loop()
        self._held = HeldSlots()
        self._local = LocalLimits(self._held.count)
        self._prefix = new_id()
        self._number = 0
        self._asks: list[Ask] = []
        self._owed: dict[tuple[str, ...], Owed] = {}
        self._calls: list[ScriptCall] = []
        self._wake = asyncio.Event()
        self._wake_due = False
        self._late_counted_at = -timeout_seconds
        self._state_logged = BreakerState.CLOSED

    @property
    def store_trusted(self) -> bool:
        """Whether Valkey is asked at present."""
        return self._store is not None and self._breaker.state is BreakerState.CLOSED

    def submit(
        self,
        key_id: str,
        key_limits: Limits | None,
        project: str,
        project_limits: Limits | None,
        tokens: int,
        done: Done,
    ) -> None:
        """Ask whether a request may begin; `done` is called with the verdict, before this comes back or soon after.

        Args:
            key_id: Of the caller's key; the same for all of its secrets.
            key_limits: The key's.
            project: The key's, by name.
            project_limits: The project's.
            tokens: What to set aside, as `limit_rules.estimated_tokens` gives it.
            done: Whoever lost interest meanwhile settles the lease that it gets, with 0.
        """
        subjects = subjects_of(key_id, key_limits, project, project_limits)
        if not subjects:
            done(UNLIMITED)
            return
        self._number += 1
        ask = Ask(Asked(f"{self._prefix}.{self._number}", subjects, tokens), done)
        if not self.store_trusted:
            self._answer_by_share(ask)
            return
        ask.timer = self._loop.call_later(self._timeout_seconds, self._late, ask)
        self._asks.append(ask)
        self._wake.set()

    async def admit(
        self,
        key_id: str,
        key_limits: Limits | None,
        project: str,
        project_limits: Limits | None,
        tokens: int,
    ) -> Verdict:
        """As `submit`, for whoever can wait."""
        given: asyncio.Future[Verdict] = self._loop.create_future()

        def done(verdict: Verdict) -> None:
            if not given.cancelled():
                given.set_result(verdict)
            elif verdict.lease is not None:
                verdict.lease.settle(0)

        self.submit(key_id, key_limits, project, project_limits, tokens, done)
        return await given

    async def run(self) -> None:
        """Do what goes on beside the requests, until cancelled."""
        if self._store is None:
            await self._keep(None)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(self._store), name="limits-pump")
            tasks.create_task(self._keep(self._store), name="limits-keep")

    async def close(self) -> None:
        """Tell Valkey what ended last, and end the connections; to be called after the last request and after `run`."""
        if self._store is None:
            return
        try:
            if self.store_trusted and self._owed:
                await self._store.run(self._corrections(self._store))
        except ValkeyUnavailable:
            self._forget_corrections()
        await self._store.close()

    def _settled(self, lease: HeldLease) -> None:
        """A request ended."""
        self._held.discard(lease)
        difference = lease.difference or 0
        if lease.by_share:
            self._local.correct(
                lease.asked, difference, now=self._clock.monotonic(), routers=self._routers_alive()
            )
        if not lease.awaited:
            self._correct(lease.asked, difference if lease.in_store else 0)

    def _late(self, ask: Ask) -> None:
        """Valkey did not answer in time."""
        ask.answered = True
        self.counts.late += 1
        now = self._clock.monotonic()
        # However many wait for the same round trip, it is one failure; a loop that was held up itself finds them all at once.
        if now - self._late_counted_at >= self._timeout_seconds:
            self._late_counted_at = now
            self._breaker.failed()
            self._log_state()
        self._answer_by_share(ask)

    def _answer_by_share(self, ask: Ask) -> None:
        routers = self._routers_alive()
        outcome = self._local.decide(ask.asked, now=self._clock.monotonic(), routers=routers)
        self.counts.by_share += 1
        self._answer(ask, outcome, routers=routers, by_share=True)

    def _answer(self, ask: Ask, outcome: Outcome, *, routers: int, by_share: bool) -> None:
        lease = None
        if outcome.admitted:
            lease = HeldLease(
                self._settled,
                ask.asked,
                by_share=by_share,
                awaited=by_share and ask.sent,
                in_store=not by_share,
            )
            ask.lease = lease
            self._held.add(lease)
        given = verdict(ask.asked, outcome, lease, routers)
        if given.refused_by is not None:
            self.counts.refused[given.refused_by] = self.counts.refused.get(given.refused_by, 0) + 1
        ask.done(given)

    async def _pump(self, store: LimitStore) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asks or self._owed or self._calls:
                await self._round_trip(store)

    async def _round_trip(self, store: LimitStore) -> None:
        asks = [ask for ask in self._asks[:_AT_ONCE_MAX] if not ask.answered]
        del self._asks[:_AT_ONCE_MAX]
        if self._breaker.state is not BreakerState.CLOSED:
            self._forget_corrections()
            for ask in asks:
                self._answer_soon(ask, None)
            return
        corrections = self._corrections(store)
        told = sum(owed.count for owed in self._owed.values())
        self._calls.clear()
        self._owed.clear()
        for ask in asks:
            ask.sent = True
        # Corrections first: the room that they make is for those who ask.
        calls = [*corrections, *(store.admit_call(ask.asked) for ask in asks)]
        if not calls:
            return
        try:
            answers = await store.run(calls)
        except ValkeyUnavailable as error:
            self.counts.failures += 1
            self.counts.corrections_lost += told
            self._breaker.failed()
            self._log_state(str(error))
            for ask in asks:
                ask.sent = False
                if ask.answered:
                    self._reconcile(ask, in_store=False)
                else:
                    self._answer_soon(ask, None)
            return
        in_time = True
        for ask, answer in zip(asks, answers[len(corrections) :], strict=True):
            outcome = outcome_of(answer)
            if ask.answered:
                in_time = False
                self._reconcile(ask, in_store=outcome.admitted)
            else:
                self._answer_soon(ask, outcome)
        if in_time:
            self._breaker.succeeded()

    def _answer_soon(self, ask: Ask, outcome: Outcome | None) -> None:
        """Answer outside of the round trip: what one caller raises must not keep the others from their answers."""
        ask.answered = True
        if ask.timer is not None:
            ask.timer.cancel()
        if outcome is None:
            self._loop.call_soon(self._answer_by_share, ask)
        else:
            self._loop.call_soon(self._answer_by_store, ask, outcome)

    def _answer_by_store(self, ask: Ask, outcome: Outcome) -> None:
        self.counts.by_store += 1
        now, routers = self._clock.monotonic(), self._routers_alive()
        self._local.heard(ask.asked, outcome.levels, now=now, routers=routers)
        self._answer(ask, outcome, routers=1, by_share=False)

    def _reconcile(self, ask: Ask, *, in_store: bool) -> None:
        """It became known whether Valkey counted a request that was decided here meanwhile."""
        lease = ask.lease
        if lease is None:
            if in_store:
                self._correct(ask.asked, -ask.asked.tokens)
            return
        lease.awaited = False
        lease.in_store = in_store
        if lease.difference is not None:
            self._correct(ask.asked, lease.difference if in_store else 0)

    def _correct(self, asked: Asked, tokens: int) -> None:
        if self._store is None:
            return
        held = bounded = False
        for subject in asked.subjects:
            held = held or subject.limits.concurrency is not None
            bounded = bounded or subject.limits.tokens_per_minute is not None
        if not held and not (bounded and tokens):
            return
        if not self.store_trusted or len(self._owed) >= _CORRECTIONS_MAX:
            self.counts.corrections_lost += 1
            return
        name = tuple([subject.name for subject in asked.subjects])
        owed = self._owed.get(name)
        if owed is None:
            owed = self._owed[name] = Owed(asked.subjects)
        owed.tokens += tokens
        owed.count += 1
        if held:
            owed.requests.append(asked.request)
            if len(owed.requests) >= _AT_ONCE_MAX:
                self._calls.append(self._store.settle_call(owed.subjects, owed.requests, owed.tokens))
                del self._owed[name]
        if not self._wake_due:
            self._wake_due = True
            self._loop.call_later(_CORRECTION_DELAY_SECONDS, self._wake_now)

    def _corrections(self, store: LimitStore) -> list[ScriptCall]:
        settled = (
            store.settle_call(owed.subjects, owed.requests, owed.tokens) for owed in self._owed.values()
        )
        # A renewal first: whatever it names had not ended then.
        return [*self._calls, *settled]

    def _forget_corrections(self) -> None:
        self.counts.corrections_lost += sum(owed.count for owed in self._owed.values())
        self._owed.clear()
        self._calls.clear()

    def _wake_now(self) -> None:
        self._wake_due = False
        self._wake.set()

    async def _keep(self, store: LimitStore | None) -> None:
        if store is not None:
            # The first request should not have to wait for the connection.
            await self._ping(store)
        renewed_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            now = self._clock.monotonic()
            self._local.sweep(now=now, routers=self._routers_alive())
            if store is None:
                continue
            if self._breaker.state is BreakerState.HALF_OPEN and self._breaker.allows():
                await self._try_again(store)
            if self.store_trusted and now - renewed_at >= self._lease_seconds / 3:
                renewed_at = now
                self._renew(store)

    async def _try_again(self, store: LimitStore) -> None:
        """See whether Valkey answers in time again, so that no request has to find out."""
        # The connection may be gone; making one may take longer than a call, and is not what a request waits for.
        reached = await self._ping(store)
        began = self._clock.monotonic()
        if reached and await self._ping(store) and self._clock.monotonic() - began <= self._timeout_seconds:
            self._breaker.succeeded()
            self._renew(store)
        else:
            self._breaker.failed()
        self._log_state()

    async def _ping(self, store: LimitStore) -> bool:
        try:
            await store.ping()
        except ValkeyUnavailable:
            self.counts.failures += 1
            return False
        return True

    def _renew(self, store: LimitStore) -> None:
        for name, requests in self._held.requests():
            for start in range(0, len(requests), _AT_ONCE_MAX):
                self._calls.append(store.renew_call(name, requests[start : start + _AT_ONCE_MAX]))
        self._wake.set()

    def _routers_alive(self) -> int:
        return max(self._routers(), 1)

    def _log_state(self, reason: str = "") -> None:
        state = self._breaker.state
        if state is not self._state_logged:
            self._state_logged = state
            self._logger.warning("limits.breaker", state=str(state), reason=reason or None)
