"""The replicas of a simulation: launched, starting, ready, draining, gone.

The simulator reads `loads` and `ends` for every request, so they are plain lists beside `engines`: how many requests the replica has,
or CLOSED if it takes none, and when its next one ends.
"""

from heapq import heappop, heappush
from math import cos, exp, log, pi, sqrt

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.engine import Engine
from hostler_autoscaler.simulation.traffic import Draw

CLOSED = float("inf")


class Fleet:
    """All replicas that are paid for."""

    def __init__(self, conditions: Conditions, draw: Draw) -> None:
        self._conditions = conditions
        self._draw = draw
        self._number = 0
        self._starting: dict[int, float] = {}
        self._happenings: list[tuple[float, int, bool]] = []
        self._numbers: list[int] = []
        self._launched: list[float] = []
        self._paid_seconds = 0.0
        self.engines: list[Engine] = []
        self.loads: list[float] = []
        self.ends: list[float] = []
        self.launches = 0
        self.failed_boots = 0
        for _ in range(conditions.initial_replicas):
            self._number += 1
            self._join(self._number, launched=0.0, now=0.0)

    @property
    def next_at(self) -> float:
        """When the next replica becomes ready, fails to, or dies."""
        return self._happenings[0][0] if self._happenings else CLOSED

    @property
    def ready(self) -> int:
        """How many serve and take requests."""
        return len(self.loads) - self.draining

    @property
    def draining(self) -> int:
        """How many finish what they have."""
        return self.loads.count(CLOSED)

    def starting_ages(self, now: float) -> list[float]:
        """Since when each was launched that is not ready, oldest first."""
        return [now - launched for launched in self._starting.values()]

    def scale(self, wanted: int, now: float) -> None:
        """Launch what is missing; of what is too much cancel the newest starting ones first, then drain the least busy."""
        there = self.ready + len(self._starting)
        for _ in range(wanted - there):
            self._launch(now)
        for _ in range(there - wanted):
            if self._starting:
                _, launched = self._starting.popitem()
                self._paid_seconds += now - launched
            else:
                self._drain(self.loads.index(min(self.loads)), now)

    def happen(self, now: float) -> list[int]:
        """What was due; gives the requests that a replica had which died of it."""
        _, number, boot = heappop(self._happenings)
        if boot and number in self._starting:
            launched = self._starting.pop(number)
            if self._draw() < self._conditions.boot_failure_share:
                self.failed_boots += 1
                self._paid_seconds += now - launched
            else:
                self._join(number, launched, now)
        elif not boot and number in self._numbers:
            slot = self._numbers.index(number)
            lost = self.engines[slot].requests()
            self.leave(slot, now)
            return lost
        return []

    def leave(self, slot: int, now: float) -> None:
        """The replica ends."""
        self._paid_seconds += now - self._launched[slot]
        for each in (self.engines, self.loads, self.ends, self._numbers, self._launched):
            del each[slot]

    def paid_seconds(self, until: float) -> float:
        """Launch to end of all so far."""
        alive = [*self._launched, *self._starting.values()]
        return self._paid_seconds + sum(until - launched for launched in alive)

    def _launch(self, now: float) -> None:
        self._number += 1
        self.launches += 1
        self._starting[self._number] = now
        # One pair of draws for each launch, so that launches at the same place in the order are alike under every policy.
        normal = sqrt(-2.0 * log(1.0 - self._draw())) * cos(2.0 * pi * self._draw())
        took = self._conditions.cold_start_seconds * exp(self._conditions.cold_start_spread * normal)
        heappush(self._happenings, (now + took, self._number, True))

    def _join(self, number: int, launched: float, now: float) -> None:
        self.engines.append(Engine(self._conditions.engine))
        self.loads.append(0.0)
        self.ends.append(CLOSED)
        self._numbers.append(number)
        self._launched.append(launched)
        life = self._conditions.life_seconds
        if life is not None:
            heappush(self._happenings, (now - life * log(1.0 - self._draw()), number, False))

    def _drain(self, slot: int, now: float) -> None:
        if self.loads[slot] == 0:
            self.leave(slot, now)
        else:
            self.loads[slot] = CLOSED
