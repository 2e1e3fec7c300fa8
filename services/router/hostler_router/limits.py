"""Who may begin a request: asks Valkey for all routers, and decides by this router's share where Valkey is slow or gone.

The request path calls `submit` (or `admit`, where it can wait) for keys and projects that have limits, and settles the lease that
it is given when the request has ended, however it ended. `run` has to run beside it: it sends what was asked since its last
round in one round trip, with the corrections, and renews the slots of what is under way. No caller waits longer than the
timeout and none sees an exception.

Callers whose requests come quickly are let in from room that was taken before (`limits_granted`), within the turn in which they ask.

An answer that comes after its caller was served from the local share is not thrown away: what Valkey counted is kept where the
request began, and given back where it did not.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from hostler_domain.limits import Limits
from hostler_kit.breaker import Breaker
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_kit.valkey import ValkeyUnavailable
from hostler_router.limit_grants import Grant
from hostler_router.limit_rules import UNLIMITED, Asked, Level, Outcome, Slot, Verdict, verdict
from hostler_router.limits_granted import GrantedRoom
from hostler_router.limits_held import Ask, Done, HeldLease, HeldSlots, LimitCounts
from hostler_router.limits_link import StoreLink
from hostler_router.limits_local import LocalLimits
from hostler_router.limits_owed import Owed
from hostler_router.limits_store import LimitStore, outcome_of, room_of

_AT_ONCE_MAX: Final = 500
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
        self._lease_seconds = lease_seconds
        self.counts = LimitCounts()
        self._link = StoreLink(
            store,
            clock=clock,
            timeout_seconds=timeout_seconds,
            logger=logger,
            counts=self.counts,
            overdue=self._overdue,
            breaker=breaker,
        )
        self._loop = asyncio.get_running_loop()
        self._held = HeldSlots()
        self._local = LocalLimits(self._held.count)
        self._prefix = new_id()
        self._number = 0
        self._asks: list[Ask] = []
        self._owed = None if store is None else Owed(store, self.counts)
        self._wake = asyncio.Event()
        self._room = GrantedRoom(
            held=self._held,
            owed=self._owed,
            clock=clock,
            routers=self._routers_alive,
            trusted=lambda: self._link.trusted,
            hurry=self._wake.set,
            counts=self.counts,
        )
        self._wake_due = False
        self._sent: list[Ask] = []

    @property
    def store_trusted(self) -> bool:
        """Whether Valkey is asked at present."""
        return self._link.trusted

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
        grant = self._room.of(key_id, key_limits, project, project_limits)
        if not grant.subjects:
            done(UNLIMITED)
            return
        given = self._room.admit(grant, tokens)
        if given is not None:
            done(given)
            return
        self._number += 1
        ask = Ask(Asked(f"{self._prefix}.{self._number}", grant.subjects, tokens), done, grant)
        if not self.store_trusted:
            self._answer_by_share(ask)
            return
        self._asks.append(ask)
        if not self._link.watched:
            self._link.watch()
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
        if self._store is None or self._owed is None:
            await self._keep(None)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(self._store, self._owed), name="limits-pump")
            tasks.create_task(self._keep(self._store), name="limits-keep")

    async def close(self) -> None:
        """Tell Valkey what ended last, and end the connections; to be called after the last request and after `run`."""
        self._room.give_all_back()
        if self._store is None or self._owed is None:
            return
        if self.store_trusted and self._owed:
            calls, ended = self._owed.take()
            try:
                await self._store.run(calls)
            except ValkeyUnavailable:
                self.counts.corrections_lost += ended
        await self._store.close()

    def _settled(self, lease: HeldLease) -> None:
        """A request ended."""
        difference, slot = lease.difference or 0, lease.slot
        counted = lease.in_store and not lease.awaited
        kept = slot is not None and counted and self._room.keep(lease.grant, slot)
        if slot is not None and not kept:
            self._held.discard(slot)
        if lease.by_share:
            self._local.correct(
                lease.asked, difference, now=self._clock.monotonic(), routers=self._routers_alive()
            )
        if not lease.awaited:
            self._correct(lease.asked, difference if lease.in_store else 0, kept=kept)

    def _overdue(self) -> bool:
        """Valkey's time is over for all who wait; gives whether there are any."""
        waiting = [ask for ask in (*self._sent, *self._asks) if not ask.answered]
        for ask in waiting:
            self._loop.call_soon(self._late, ask)
        return bool(waiting)

    def _late(self, ask: Ask) -> None:
        """Valkey did not answer in time, if it has not just done so."""
        if not ask.answered:
            ask.answered = True
            self.counts.late += 1
            self._answer_by_share(ask)

    def _answer_by_share(self, ask: Ask) -> None:
        routers = self._routers_alive()
        outcome = self._local.decide(ask.asked, now=self._clock.monotonic(), routers=routers)
        self.counts.by_share += 1
        self._answer(ask, outcome, routers=routers, by_share=True)

    def _answer(self, ask: Ask, outcome: Outcome, *, routers: int, by_share: bool) -> None:
        lease = None
        if outcome.admitted:
            bounded = tuple(each for each in ask.asked.subjects if each.limits.concurrency is not None)
            slot = Slot(ask.asked.request, bounded) if bounded else None
            lease = HeldLease(
                self._settled,
                ask.asked,
                ask.grant,
                slot,
                by_share=by_share,
                awaited=by_share and ask.sent,
                in_store=not by_share,
            )
            ask.lease = lease
            if slot is not None:
                self._held.add(slot)
        given = verdict(ask.asked, outcome, lease, routers)
        if given.refused_by is not None:
            self.counts.refused[given.refused_by] = self.counts.refused.get(given.refused_by, 0) + 1
        ask.done(given)

    async def _pump(self, store: LimitStore, owed: Owed) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asks or self._room.refills or owed:
                await self._round_trip(store, owed)

    async def _round_trip(self, store: LimitStore, owed: Owed) -> None:
        refills = self._room.refills[:_AT_ONCE_MAX]
        del self._room.refills[:_AT_ONCE_MAX]
        asks = [ask for ask in self._asks[:_AT_ONCE_MAX] if not ask.answered]
        del self._asks[:_AT_ONCE_MAX]
        if not self._link.trusted:
            owed.forget()
            self._room.got_none(refills)
            for ask in asks:
                self._answer_soon(ask, None)
            return
        corrections, told = owed.take()
        for ask in asks:
            ask.sent = True
        self._sent = asks
        # Corrections first: the room that they make is for those who ask. Who waits comes before who might come.
        calls = [
            *corrections,
            *(store.admit_call(ask.asked) for ask in asks),
            *(store.grant_call(refill.grant.subjects, refill.wanted) for refill in refills),
        ]
        if not calls:
            return
        if asks:
            self._link.watch()
        try:
            answers = await store.run(calls)
        except ValkeyUnavailable as error:
            self._sent = []
            self.counts.failures += 1
            self.counts.corrections_lost += told
            self._link.failed(str(error))
            self._room.got_none(refills)
            for ask in asks:
                ask.sent = False
                if ask.answered:
                    self._reconcile(ask, in_store=False)
                else:
                    self._answer_soon(ask, None)
            return
        self._sent = []
        if not self._asks:
            self._link.watch_no_more()
        del answers[: len(corrections)]
        for refill, answer in zip(refills, answers[len(asks) :], strict=True):
            room, levels = room_of(answer)
            self._hear(refill.grant, levels)
            self._room.took(refill, room)
        self._take_answers(asks, answers[: len(asks)])

    def _take_answers(self, asks: list[Ask], answers: list[object]) -> None:
        in_time = True
        for ask, answer in zip(asks, answers, strict=True):
            outcome = outcome_of(answer)
            if ask.answered:
                in_time = False
                self._reconcile(ask, in_store=outcome.admitted)
            else:
                self._answer_soon(ask, outcome)
        if in_time:
            self._link.succeeded()

    def _answer_soon(self, ask: Ask, outcome: Outcome | None) -> None:
        """Answer outside of the round trip: what one caller raises must not keep the others from their answers."""
        ask.answered = True
        if outcome is None:
            self._loop.call_soon(self._answer_by_share, ask)
        else:
            self._loop.call_soon(self._answer_by_store, ask, outcome)

    def _answer_by_store(self, ask: Ask, outcome: Outcome) -> None:
        self.counts.by_store += 1
        self._hear(ask.grant, outcome.levels)
        self._answer(ask, outcome, routers=1, by_share=False)

    def _hear(self, grant: Grant, levels: tuple[Level, ...]) -> None:
        """Valkey said how full the buckets are."""
        now = self._clock.monotonic()
        self._local.heard(grant.subjects, levels, now=now, routers=self._routers_alive())
        grant.heard(levels, now)

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

    def _correct(self, asked: Asked, tokens: int, *, kept: bool = False) -> None:
        if self._owed is None:
            return
        held = bounded = False
        for subject in asked.subjects:
            held = held or subject.limits.concurrency is not None
            bounded = bounded or subject.limits.tokens_per_minute is not None
        held = held and not kept
        if not held and not (bounded and tokens):
            return
        if not self.store_trusted:
            self.counts.corrections_lost += 1
            return
        self._owed.add(asked.subjects, tokens=tokens, slots=(asked.request,) if held else ())
        if not self._wake_due:
            self._wake_due = True
            self._loop.call_later(_CORRECTION_DELAY_SECONDS, self._wake_now)

    def _wake_now(self) -> None:
        self._wake_due = False
        self._wake.set()

    async def _keep(self, store: LimitStore | None) -> None:
        if store is not None:
            # The first request should not have to wait for the connection, or for Valkey to learn the programs.
            await self._link.prepare(store)
        renewed_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            now = self._clock.monotonic()
            self._local.sweep(now=now, routers=self._routers_alive())
            self._room.sweep(now)
            if store is None:
                continue
            if await self._link.try_again(store):
                self._renew()
            if self.store_trusted and now - renewed_at >= self._lease_seconds / 3:
                renewed_at = now
                self._renew()

    def _renew(self) -> None:
        if self._owed is not None:
            for name, requests in self._held.requests():
                self._owed.renew(name, requests)
        self._wake.set()

    def _routers_alive(self) -> int:
        return max(self._routers(), 1)
