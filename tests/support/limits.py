"""Limiters on a real Valkey that run as a router runs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from pydantic import SecretStr

from hostler_domain.limits import Limits
from hostler_kit.clock import SystemClock
from hostler_kit.valkey import open_valkey
from hostler_router.limit_rules import Verdict
from hostler_router.limits import Limiter
from hostler_router.limits_store import LimitStore

# Far above the product's own 5 ms: what a test wants from Valkey it must get from a machine that is busy, too.
PATIENT_SECONDS = 5.0
LEASE_SECONDS = 30.0
KEY, PROJECT = "01939e00-0000-7000-8000-000000000001", "team"


def store_on(
    url: str, *, lease_seconds: float = LEASE_SECONDS, timeout_seconds: float = PATIENT_SECONDS
) -> LimitStore:
    return LimitStore(
        open_valkey(SecretStr(url), timeout_seconds=timeout_seconds), lease_seconds=lease_seconds
    )


@asynccontextmanager
async def limiter_on(
    store: LimitStore | None,
    *,
    timeout_seconds: float = PATIENT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
    routers: int = 1,
) -> AsyncIterator[Limiter]:
    """One router's limiter, with its loops running."""
    limiter = Limiter(
        store,
        clock=SystemClock(),
        routers=lambda: routers,
        timeout_seconds=timeout_seconds,
        lease_seconds=lease_seconds,
        logger=structlog.get_logger(),
    )
    running = asyncio.create_task(limiter.run())
    try:
        yield limiter
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await limiter.close()


async def first_verdict(limiter: Limiter, limits: Limits, *, tokens: int = 0, admitted: bool) -> Verdict:
    """The first verdict of that kind; there is nothing that tells when a limit has room, or has none any more."""
    async with asyncio.timeout(20):
        while True:
            verdict = await limiter.admit(KEY, limits, PROJECT, None, tokens)
            if verdict.admitted is admitted:
                return verdict
            await asyncio.sleep(0.01)
