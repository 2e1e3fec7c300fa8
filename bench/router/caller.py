"""Callers of streams, in a process of their own: `python -m bench.router.caller`, with a plan on its input, prints one line of JSON.

wrk, which measures plain answers, knows no streams. This opens connections, sends the same request on each again and again, and counts whole streams: one
counts only if it ended with `[DONE]` and as HTTP says. With `hold`, each connection has one long stream, and `begun` is printed when all have their first event.
"""

import asyncio
import json
import math
import re
import sys
import time
from dataclasses import dataclass, field
from functools import partial

import uvloop

_SEAM = re.compile(rb"\r\n[0-9a-f]+\r\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        port: Of the loopback.
        request: The bytes of a request.
        connections: How many at once.
        seconds: How long requests are sent.
        hold: Whether each connection has one stream alone.
        ramp_per_second: Connections opened in a second.
    """

    port: int
    request: bytes = field(repr=False)
    connections: int
    seconds: float
    hold: bool = False
    ramp_per_second: float = 2000.0


class Counts:
    """What came of it, for all connections."""

    def __init__(self) -> None:
        self.streams = 0
        self.broken = 0
        self.begun = 0
        self.first_seconds: list[float] = []
        self.over = math.inf


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, plan: Plan, counts: Counts) -> None:
        self._plan = plan
        self._counts = counts
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._waits = False
        self._tail = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is one
        """Send at once."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Time the first event, and look for the end."""
        if self._waits and not self._tail and not data.startswith(b"HTTP/1.1 200"):
            self.connection_lost(None)
            return
        if self._waits and b"data: " in self._tail + data:
            self._waits = False
            self._counts.begun += 1
            self._counts.first_seconds.append(time.perf_counter() - self._sent_at)
        self._tail = (self._tail + data)[-64:] if len(data) < 64 else data[-64:]
        if self._tail.endswith(b"0\r\n\r\n"):
            # A proxy cuts its chunks where its buffers end.
            whole = b"[DONE]" in _SEAM.sub(b"", self._tail)
            self._counts.streams += whole
            self._counts.broken += not whole
            if whole and not self._plan.hold and time.perf_counter() < self._counts.over:
                self._send()
            else:
                self._close()

    def connection_lost(self, _: Exception | None) -> None:
        """Count what was under way as broken."""
        self._counts.broken += self._sent_at > 0
        self._close()

    def _send(self) -> None:
        assert self._transport is not None
        self._tail, self._waits = b"", True
        self._sent_at = time.perf_counter()
        self._transport.write(self._plan.request)

    def _close(self) -> None:
        self._sent_at = 0.0
        if self._transport is not None:
            self._transport.close()
        if not self.closed.done():
            self.closed.set_result(None)


def percentile(values: list[float], share: float) -> float:
    """By the nearest rank; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def call(plan: Plan) -> dict[str, float]:
    """Carry the plan out."""
    loop, counts, callers = asyncio.get_running_loop(), Counts(), []
    counts.over = time.perf_counter() + plan.seconds
    for number in range(plan.connections):
        _, caller = await loop.create_connection(partial(Caller, plan, counts), "127.0.0.1", plan.port)
        callers.append(caller)
        if number % 50 == 49:
            await asyncio.sleep(50 / plan.ramp_per_second)
    if plan.hold:
        while counts.begun < plan.connections and counts.broken == 0:  # noqa: ASYNC110  # hundreds tell it
            await asyncio.sleep(0.05)
        print(json.dumps({"begun": counts.begun}), flush=True)
    await asyncio.gather(*(caller.closed for caller in callers))
    return {
        "streams": counts.streams,
        "broken": counts.broken,
        "first_p50_us": percentile(counts.first_seconds, 0.5) * 1e6,
        "first_p99_us": percentile(counts.first_seconds, 0.99) * 1e6,
    }


def main() -> None:
    """Read the plan, which has a key in it, and carry it out."""
    given = json.loads(sys.stdin.readline())
    given["request"] = given["request"].encode()
    print(json.dumps(uvloop.run(call(Plan(**given)))), flush=True)


if __name__ == "__main__":
    main()
