"""A whole api within a test: the real parts on a bus of the test's own, requests through ASGI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hostler_api.app import create_app
from hostler_api.assembly import Assembly, Surroundings
from hostler_api.history.shapes import MetricHistory
from hostler_bus.port import Bus
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey
from tests.support.eventually import eventually

SECRET_KEY = SecretKey(b"s" * 32)


@dataclass
class RunningApi:
    """What a test may look into."""

    assembly: Assembly
    app: FastAPI
    registry: CollectorRegistry
    client: httpx2.AsyncClient


@asynccontextmanager
async def running_api(
    bus: Bus, *, timeout_seconds: float = 5.0, history: MetricHistory | None = None
) -> AsyncIterator[RunningApi]:
    """Run an api on `bus`, from when it has read what is stored."""
    assembly = assembly_on(bus)
    tasks = [asyncio.ensure_future(work) for _, work in assembly.work()]
    registry = CollectorRegistry()
    try:
        await eventually(lambda: assembly.caught_up and assembly.usage.caught_up)
        app = create_app(
            assembly.parts(history), logger=structlog.get_logger(), clock=SystemClock(), registry=registry
        )
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://api.test", timeout=timeout_seconds
        ) as client:
            yield RunningApi(assembly, app, registry, client)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def assembly_on(bus: Bus) -> Assembly:
    """The parts of an api that nobody runs yet."""
    return Assembly(
        Surroundings(
            bus=bus,
            source="/hostler/api/test",
            secret_key=SECRET_KEY,
            clock=SystemClock(),
            logger=structlog.get_logger(),
            stopping=asyncio.Event(),
            readiness=Readiness(),
        )
    )
