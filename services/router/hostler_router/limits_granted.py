"""Grants at work: lets requests in from room that was taken before, has more of it asked for in time, and the rest given back.

`limits` asks here first for every request, sends what is wanted with its next round trip and hands in the answer. `limit_grants` has
the rules. A grant is looked at each period for as long as it has anything; a router that is killed leaves what it had to leak away.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hostler_domain.limits import Limits
from hostler_kit.clock import Clock
from hostler_router.limit_grants import PERIOD_SECONDS, Grant, Room, Wanted
from hostler_router.limit_rules import Slot, Verdict, subjects_of
from hostler_router.limits_held import HeldSlots, LimitCounts
from hostler_router.limits_owed import Owed

_FORGET_SECONDS: Final = 10.0
"""After which a caller that does not ask is not remembered."""


class GrantedLease:
    """What a request holds that was let in from a grant."""

    __slots__ = ("_grant", "_on_settled", "_settled", "_slot", "_tokens")

    def __init__(
        self,
        on_settled: "Callable[[Grant, int, Slot | None], None]",
        grant: Grant,
        tokens: int,
        slot: Slot | None,
    ) -> None:
        """`on_settled` is told once: the tokens used beyond those set aside, and the slot that is free."""
        self._on_settled = on_settled
        self._grant = grant
        self._tokens = tokens
        self._slot = slot
        self._settled = False

    def settle(self, tokens_used: int | None) -> None:
        """The request ended: give its slot back and count what it used, where that is known. Again is harmless."""
        if self._settled:
            return
        self._settled = True
        difference = 0 if tokens_used is None else max(tokens_used, 0) - self._tokens
        slot, self._slot = self._slot, None
        self._on_settled(self._grant, difference, slot)


@dataclass(frozen=True, slots=True)
class Refill:
    """What is to be asked for."""

    grant: Grant
    wanted: Wanted


class GrantedRoom:
    """The grants of one router."""

    def __init__(
        self,
        *,
        held: HeldSlots,
        owed: Owed | None,
        clock: Clock,
        routers: Callable[[], int],
        trusted: Callable[[], bool],
        hurry: Callable[[], None],
        counts: LimitCounts,
    ) -> None:
        """Begin without any.

        Args:
            held: The slots of this router.
            owed: Takes what is given back; None where there is no Valkey, and so nothing to take room from.
            clock: The time.
            routers: How many router processes are alive, one at least.
            trusted: Whether Valkey is asked at present.
            hurry: Called when there is something to be sent.
            counts: To be counted up.
        """
        self._held = held
        self._owed = owed
        self._clock = clock
        self._routers = routers
        self._trusted = trusted
        self._hurry = hurry
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._grants: dict[tuple[str, str], Grant] = {}
        self._looked_at: list[Grant] = []
        self._timer: asyncio.TimerHandle | None = None
        self._swept_at = clock.monotonic()
        self.refills: list[Refill] = []

    def of(
        self, key_id: str, key_limits: Limits | None, project: str, project_limits: Limits | None
    ) -> Grant:
        """The grant of a caller, which is empty at first."""
        grant = self._grants.get((key_id, project))
        if grant is not None:
            if grant.key_limits is key_limits and grant.project_limits is project_limits:
                return grant
            if grant.key_limits == key_limits and grant.project_limits == project_limits:
                # Read anew, and the same; the next request sees that at once.
                grant.key_limits, grant.project_limits = key_limits, project_limits
                return grant
            grant.closed = True
        subjects = subjects_of(key_id, key_limits, project, project_limits)
        grant = self._grants[key_id, project] = Grant(key_limits, project_limits, subjects)
        return grant

    def admit(self, grant: Grant, tokens: int) -> Verdict | None:
        """Let a request in, where there is room for it; None where Valkey has to be asked."""
        if grant.spend(tokens):
            slot = grant.slots.pop() if grant.bounds_slots else None
            now = self._clock.monotonic()
            if not grant.asked and grant.low:
                self._refill(grant, now)
            counts = self._counts
            counts.by_store += 1
            counts.by_grant += 1
            lease = None
            if slot is not None or grant.bounds_tokens:
                lease = GrantedLease(self._settled, grant, tokens, slot)
            return Verdict(True, (), None, 0.0, lease, None, grant.lines(now))
        if self._owed is not None and not grant.asked:
            now = self._clock.monotonic()
            grant.came_asking(now)
            self._refill(grant, now)
        return None

    def keep(self, grant: Grant, slot: Slot) -> bool:
        """Whether a slot that is free again was kept for the next request of the same caller."""
        if not grant.keeps_slot(self._routers()):
            return False
        grant.slots.append(slot)
        self._look_at(grant)
        return True

    def took(self, refill: Refill, room: Room) -> None:
        """The answer to a refill, which may be that there is no room to be taken in advance."""
        grant = refill.grant
        grant.took(room, self._clock.monotonic())
        if room.requests or room.tokens:
            self._look_at(grant)

    def got_none(self, refills: list[Refill]) -> None:
        """There is no answer to these: nobody knows whether room was taken, and if so it leaks away."""
        for refill in refills:
            refill.grant.got_none(self._clock.monotonic())

    def sweep(self, now: float) -> None:
        """Forget callers that don't come any more."""
        if now - self._swept_at < _FORGET_SECONDS:
            return
        self._swept_at = now
        for name, grant in list(self._grants.items()):
            if not grant.looked_at and not grant.asked and grant.unused_since(now) > _FORGET_SECONDS:
                del self._grants[name]

    def give_all_back(self) -> None:
        """Every grant ends; whoever holds a lease may still settle it, and gives its slot back then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for grant in self._looked_at:
            self._give_back(grant, *grant.give_up())
            grant.looked_at = False
        self._looked_at.clear()

    def _refill(self, grant: Grant, now: float) -> None:
        if not self._trusted():
            return
        wanted = grant.wants(now, self._routers())
        if wanted is not None:
            grant.asked = True
            self.refills.append(Refill(grant, wanted))
            self._hurry()

    def _settled(self, grant: Grant, difference: int, slot: Slot | None) -> None:
        """A request ended that was let in here."""
        if grant.bounds_tokens:
            grant.owed_tokens += difference
        grant.ended += 1
        if slot is not None and not self.keep(grant, slot):
            self._held.discard(slot)
            self._owe(grant, Room(), [slot])
        self._look_at(grant)

    def _look_at(self, grant: Grant) -> None:
        if not grant.looked_at:
            grant.looked_at = True
            self._looked_at.append(grant)
            if self._timer is None:
                self._timer = self._loop.call_later(PERIOD_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        now, trusted = self._clock.monotonic(), self._trusted()
        for grant in self._looked_at:
            self._give_back(grant, *(grant.look(now) if trusted else grant.give_up()))
            grant.looked_at = not grant.idle
        self._looked_at = [grant for grant in self._looked_at if grant.looked_at]
        if self._looked_at:
            self._timer = self._loop.call_later(PERIOD_SECONDS, self._look)

    def _give_back(self, grant: Grant, room: Room, slots: list[Slot]) -> None:
        for slot in slots:
            self._held.discard(slot)
        self._owe(grant, room, slots)

    def _owe(self, grant: Grant, room: Room, slots: list[Slot]) -> None:
        """Have Valkey told what is not needed, and what ended since it was told last."""
        tokens, ended = grant.owed_tokens - room.tokens, grant.ended
        grant.owed_tokens = grant.ended = 0
        if self._owed is None or not (tokens or room.requests or slots):
            return
        if not self._trusted():
            self._counts.corrections_lost += ended
            return
        self._owed.add(
            grant.subjects,
            tokens=tokens,
            unused=room.requests,
            slots=[slot.request for slot in slots],
            ended=ended,
        )
        self._hurry()
