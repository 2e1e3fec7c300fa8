"""A replica with continuous batching: how long requests take that share it.

All active requests get a token every `alpha + beta * active` milliseconds. So they advance together in a virtual time, which counts tokens:
a request that is admitted at virtual time v ends at v + its tokens, whoever comes and goes meanwhile, and the next to end is the top of a
heap. Reading a prompt holds all of them up, as prefill does in an engine that does one or the other.
"""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class EngineModel:
    """What the replicas of a job are like.

    Attributes:
        alpha_ms: The part of the time of a token that is there however few share the replica.
        beta_ms: What each active request adds to it.
        prefill_ms_per_token: How long a token of a prompt holds the replica up.
        active_max: So many are active at once; the others wait in the replica.
        kv_tokens: So many tokens of prompts and answers have room at once; unbounded where it is None. Room is taken for the whole answer
            when a request begins.
    """

    alpha_ms: float
    beta_ms: float
    prefill_ms_per_token: float = 0.0
    active_max: int = 256
    kv_tokens: int | None = None

    def token_ms(self, active: float) -> float:
        """The time of a token when so many are active."""
        return self.alpha_ms + self.beta_ms * active


class Engine:
    """What one replica is doing. Times are seconds and must not go back."""

    __slots__ = (
        "_active_max",
        "_alpha",
        "_at",
        "_beta",
        "_heap",
        "_kv_max",
        "_kv_used",
        "_prefill",
        "_stall",
        "_virtual",
        "_waiting",
    )

    def __init__(self, model: EngineModel) -> None:
        self._alpha = model.alpha_ms / 1000.0
        self._beta = model.beta_ms / 1000.0
        self._prefill = model.prefill_ms_per_token / 1000.0
        self._active_max = model.active_max
        self._kv_max = _NEVER if model.kv_tokens is None else float(model.kv_tokens)
        self._kv_used = 0.0
        self._heap: list[tuple[float, int, int]] = []
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._virtual = 0.0
        self._at = 0.0
        self._stall = 0.0

    @property
    def active(self) -> int:
        """How many requests get tokens, or have their prompt read."""
        return len(self._heap)

    @property
    def waiting(self) -> int:
        """How many requests wait inside for one of those to end."""
        return len(self._waiting)

    @property
    def oldest_waiting(self) -> int | None:
        """The request that waits inside for the longest."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def kv_utilisation(self) -> float | None:
        """The share of the room for tokens that is taken; None where it is unbounded."""
        return None if self._kv_max == _NEVER else self._kv_used / self._kv_max

    def requests(self) -> list[int]:
        """All that it has, in the order of their numbers."""
        return sorted([entry[1] for entry in self._heap] + [entry[0] for entry in self._waiting])

    def admit(self, request: int, prompt: int, answer: int, now: float) -> float:
        """Take a request, and tell when the next one ends."""
        heap = self._heap
        # Whoever waits comes first, even if a later one is small enough to fit.
        if self._waiting or (
            heap and (len(heap) >= self._active_max or self._kv_used + prompt + answer > self._kv_max)
        ):
            self._waiting.append((request, prompt, answer))
            return self._next_end()
        elapsed = now - self._at
        self._at = now
        stall = self._stall
        if elapsed > stall:
            if heap:
                self._virtual += (elapsed - stall) / (self._alpha + self._beta * len(heap))
            stall = 0.0
        else:
            stall -= elapsed
        self._stall = stall = stall + prompt * self._prefill
        self._kv_used += prompt + answer
        heappush(heap, (self._virtual + answer, request, prompt + answer))
        return now + stall + (heap[0][0] - self._virtual) * (self._alpha + self._beta * len(heap))

    def finish(self, now: float) -> tuple[int, float]:
        """End the request that was foretold for now; give it, and when the next one ends."""
        heap = self._heap
        # Setting the virtual time to what was foretold keeps rounding from adding up.
        self._virtual, request, room = heappop(heap)
        self._at = now
        self._stall = 0.0
        self._kv_used -= room
        waiting = self._waiting
        while waiting and (
            not heap
            or (
                len(heap) < self._active_max and self._kv_used + waiting[0][1] + waiting[0][2] <= self._kv_max
            )
        ):
            entering, prompt, answer = waiting.popleft()
            self._stall += prompt * self._prefill
            self._kv_used += prompt + answer
            heappush(heap, (self._virtual + answer, entering, prompt + answer))
        return request, self._next_end()

    def _next_end(self) -> float:
        heap = self._heap
        if not heap:
            return _NEVER
        return self._at + self._stall + (heap[0][0] - self._virtual) * (self._alpha + self._beta * len(heap))
