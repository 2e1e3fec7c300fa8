"""How long to hold replicas that were missed: for as long as that costs less than to be late again.

Whoever gives replicas back and misses them pays with late requests, whoever holds them pays with hours; `carried.POINT_WORTH_HOURS` is the
exchange rate, by which a request that is late is worth ten that a replica could have served. So whenever more are asked for, the requests
that are late until help has come are counted. Load that came back after a step down, when to hold the missing replicas from that step on
would have cost less, is waited for as long the next time. Load that was gone again before help came may be the first of many: what was
missing is held for as long as it took those that were late to pay for it, as one rents skis until they could have been bought.
"""

from dataclasses import dataclass, replace

from hostler_autoscaler.carried import POINT_WORTH_HOURS

SECONDS_MAX = 3600.0
"""What comes less often than that is not waited for."""
MARGIN = 1.2
"""Times the time that was missed: what comes back does so a little earlier or later."""
COMING_SECONDS = 180.0
"""After a cold start: until then replicas that came have worked off what piled up."""
LATE_WORTH = 100 * POINT_WORTH_HOURS
"""Requests that a replica could have served, for one that is late."""
FALLS_MAX = 12
"""Falls that are remembered, the latest; each took a quarter at most, so they reach back to three times what is left and more."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held, and the rise that is being judged.

    Attributes:
        seconds: For how long needs are remembered; 0 where nothing is held.
        used_at: When that was learned, or was of use last.
        replicas: No more are held than were missed then.
        base: How many there were, which was too few.
        calm: Whether no more than those have been needed since it was of use.
        falls: When replicas were given back since a rise was judged, and how many were left.
        rose_at: When more were asked for; None while nothing is judged.
        before: How many replicas there were then.
        window_seconds: How long needs were remembered then.
        needed: The most that was needed since.
        late: Requests late since.
    """

    seconds: float = 0.0
    used_at: float = 0.0
    replicas: int = 0
    base: int = 0
    calm: bool = False
    falls: tuple[tuple[float, int], ...] = ()
    rose_at: float | None = None
    before: int = 0
    window_seconds: float = 0.0
    needed: int = 0
    late: float = 0.0

    def held_seconds(self, now: float) -> float:
        """For how long needs are remembered now: no longer once a second such time went by without use."""
        return self.seconds if now - self.used_at <= 2 * self.seconds else 0.0

    def fell(self, now: float, replicas: int) -> "Holding":
        """Replicas were given back, and so many are left."""
        return replace(self, falls=(*self.falls, (round(now, 1), replicas))[-FALLS_MAX:])

    def rose(self, now: float, *, window_seconds: float, before: int) -> "Holding":
        """More are asked for, for load."""
        if self.rose_at is not None:
            return self
        return replace(
            self,
            rose_at=round(now, 1),
            before=before,
            window_seconds=round(window_seconds, 1),
            needed=0,
            late=0.0,
        )

    def seen(
        self,
        now: float,
        *,
        needed: int,
        late: float,
        replica_rps: float | None,
        cold_start_seconds: float,
    ) -> "Holding":
        """After a look at which so many replicas were needed, and so many more requests were late.

        Once help has come the rise is judged:

        | late for those that were given back | needed now | held from now on                                     |
        | ----------------------------------- | ---------- | ---------------------------------------------------- |
        | at more than to hold them had cost  | any        | at least as long as they were missed                 |
        | any                                 | as before  | at least as long as those that were late can pay for |
        | at less, or none were               | more       | as it was                                            |
        """
        held = self.used(now, needed)
        rose_at = held.rose_at
        if rose_at is None:
            return held
        held = replace(held, needed=max(held.needed, needed), late=float(f"{held.late + late:.4g}"))
        if now - rose_at <= cold_start_seconds + COMING_SECONDS:
            return held
        gap, worth = held.gap_seconds(rose_at), held.worth_seconds(replica_rps)
        missed = MARGIN * (gap + held.window_seconds) if gap is not None and worth > gap else 0.0
        return held.judged(now, max(missed, worth if needed <= held.before else 0.0))

    def gap_seconds(self, rose_at: float) -> float | None:
        """How long before the rise fewer were left than it needed; None if there never were more, or too long ago."""
        below = (rose_at - at for at, left in self.falls if left < self.needed and at < rose_at)
        gap = next(below, None)
        return gap if gap is not None and gap <= SECONDS_MAX else None

    def worth_seconds(self, replica_rps: float | None) -> float:
        """For how long the replicas that are missing could have served for what is late."""
        missing = self.needed - self.before
        return LATE_WORTH * self.late / (replica_rps * missing) if replica_rps and missing > 0 else 0.0

    def judged(self, now: float, seconds: float) -> "Holding":
        """After a rise that is worth holding for so long, if that is longer than what is held."""
        if seconds <= self.held_seconds(now):
            return replace(self, rose_at=None, falls=())
        return Holding(
            round(min(seconds, SECONDS_MAX), 1), round(now, 1), replicas=self.needed, base=self.before
        )

    def used(self, now: float, needed: int) -> "Holding":
        """Load that came back while it was waited for makes what is held last longer."""
        if not self.held_seconds(now) or self.calm == (needed <= self.base):
            return self
        if self.calm:
            return replace(self, used_at=round(now, 1), calm=False)
        return replace(self, calm=True)
