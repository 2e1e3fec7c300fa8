"""What a policy under simulation is: an object that is shown an observation every tick and answers with a number, or None to keep it."""

from typing import Protocol

from hostler_autoscaler.simulation.history import Observed


class Policy(Protocol):
    """One that decides; it may remember.

    A policy may also have `reason`, a sentence about its last answer, which the simulator keeps with each change.
    """

    @property
    def interval(self) -> float:
        """Seconds from one question to the next."""
        ...

    def decide(self, obs: Observed) -> int | None:
        """How many replicas there shall be, starting ones included; None for as many as were wanted."""
        ...
