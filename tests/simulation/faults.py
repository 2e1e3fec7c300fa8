"""Faults for the simulation, drawn from a seeded generator: what a real network and real machines do on a bad day.

The faults stand at the edges: between a service and the bus, and in the place where replicas run. The services are the real ones.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from hostler_bus.errors import BusUnavailable
from hostler_bus.port import (
    Appended,
    Bucket,
    Bus,
    CaughtUp,
    ConsumerSpec,
    Delivery,
    Expect,
    Handler,
    Message,
    Served,
    Start,
    Subscription,
)
from hostler_domain.errors import TemporaryError
from hostler_kit.clock import Clock
from hostler_provisioner.backend import Launch, NodeFacts, ObservedReplica, Step


@dataclass
class Weather:
    """How bad the day is; `calm` ends every fault.

    Attributes:
        late: Longest delay of a message, in seconds.
        doubled: Share of messages that come twice.
        unheard: Share of appends that are stored and not answered.
        deaf: Share of wake-ups that are lost.
        mortality: Share of replicas that die in a minute.
        stillborn: Share of starts that fail.
    """

    rng: random.Random
    late: float = 0.5
    doubled: float = 0.1
    unheard: float = 0.05
    deaf: float = 0.3
    mortality: float = 0.2
    stillborn: float = 0.1

    def calm(self) -> None:
        self.late = self.doubled = self.unheard = self.deaf = self.mortality = self.stillborn = 0.0

    def strikes(self, share: float) -> bool:
        return self.rng.random() < share


class StormyFollower:
    """A subscription whose messages come late and sometimes twice; their order stays."""

    def __init__(self, inner: Subscription[Message | CaughtUp], weather: Weather) -> None:
        self._inner = inner
        self._weather = weather
        self._again: deque[Message] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | CaughtUp:
        if self._again:
            return self._again.popleft()
        message = await anext(self._inner)
        await asyncio.sleep(self._weather.rng.random() * self._weather.late)
        if isinstance(message, Message) and self._weather.strikes(self._weather.doubled):
            self._again.append(message)
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._inner.close()


class StormyBus:
    """One service's connection in bad weather."""

    def __init__(self, inner: Bus, weather: Weather) -> None:
        self._inner = inner
        self._weather = weather

    @property
    def connected(self) -> bool:
        return self._inner.connected

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None = None,
        deadline_seconds: float = 5.0,
    ) -> Appended:
        await asyncio.sleep(self._weather.rng.random() * self._weather.late / 5)
        done = await self._inner.append(
            subject, data, msg_id=msg_id, expect=expect, deadline_seconds=deadline_seconds
        )
        if self._weather.strikes(self._weather.unheard):
            raise BusUnavailable("stored, and nobody heard of it")
        return done

    def append_soon(self, subject: str, data: bytes, *, msg_id: str) -> asyncio.Future[Appended]:
        return asyncio.ensure_future(self.append(subject, data, msg_id=msg_id))

    async def publish(self, subject: str, data: bytes) -> None:
        await self._inner.publish(subject, data)

    async def last(self, stream: str, subjects: str) -> Message | None:
        return await self._inner.last(stream, subjects)

    def history(self, stream: str, subjects: str, *, after_seq: int = 0) -> AsyncIterator[Message]:
        return self._inner.history(stream, subjects, after_seq=after_seq)

    def follow(self, stream: str, subjects: str, *, start: Start) -> Subscription[Message | CaughtUp]:
        return StormyFollower(self._inner.follow(stream, subjects, start=start), self._weather)

    def bucket(self, name: str) -> Bucket:
        return self._inner.bucket(name)

    def deliveries(self, consumer: ConsumerSpec) -> Subscription[Delivery]:
        return self._inner.deliveries(consumer)

    async def request(self, subject: str, data: bytes, *, timeout_seconds: float) -> bytes:
        return await self._inner.request(subject, data, timeout_seconds=timeout_seconds)

    async def serve(self, subject: str, handler: Handler, *, queue: str = "") -> Served:
        return await self._inner.serve(subject, handler, queue=queue)

    async def drain(self) -> None:
        await self._inner.drain()


@dataclass
class SimulatedMachine:
    """One replica in the simulated place."""

    launch: Launch
    step: Step
    since: datetime
    fails: bool


@dataclass
class SimulatedPlace:
    """The place where replicas run: fits the provisioner's backend port. Two provisioners may share it.

    Attributes:
        pace: How long what takes a second here takes.
        running: Replicas that there are, by id.
        most_cores: The most that were ever held at once.
        cut: Replicas that were ended by order while a request was on them, without having failed.
    """

    clock: Clock
    weather: Weather
    cores: float
    cluster: str = "local"
    pace: float = 1.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    running: dict[str, SimulatedMachine] = field(default_factory=dict)
    requests_on: dict[str, int] = field(default_factory=dict)
    most_cores: float = 0.0
    cut: list[str] = field(default_factory=list)

    def fence(self, may_act: Callable[[], bool]) -> None:
        return

    async def nodes(self) -> tuple[NodeFacts, ...]:
        models = {"llamacpp": ("HuggingFaceTB/SmolLM2-135M-Instruct",)}
        return (NodeFacts("node-a", self.cores, 2**40, models),)

    async def forget(self, job_id: str) -> None:
        return

    async def start(self, launch: Launch) -> None:
        if launch.replica_id in self.running:
            return
        held = sum(each.launch.cpu_cores for each in self.running.values() if each.step is not Step.GONE)
        if held + launch.cpu_cores > self.cores:
            # Two provisioners that both lead can each admit what fits once; what hosts machines must not.
            raise TemporaryError("the host has no room at the moment")
        self.running[launch.replica_id] = SimulatedMachine(
            launch,
            Step.IMPORTING,
            self.clock.now(),
            fails=self.weather.strikes(self.weather.stillborn),
        )
        self.most_cores = max(self.most_cores, held + launch.cpu_cores)
        self.changed.set()

    async def live(self) -> None:
        """Let the machines move on, until cancelled."""
        order = [Step.IMPORTING, Step.BOOTING, Step.LOADING, Step.READY]
        while True:
            await asyncio.sleep(self.weather.rng.random() * 2 * self.pace)
            for machine in self.running.values():
                if machine.step in order[:-1]:
                    machine.step = order[order.index(machine.step) + 1]
                    if machine.fails and machine.step is Step.LOADING:
                        machine.step = Step.GONE
                    machine.since = self.clock.now()
                elif machine.step is Step.READY and self.weather.strikes(self.weather.mortality / 30):
                    machine.step = Step.GONE
            self.changed.set()

    async def observe(self) -> tuple[ObservedReplica, ...]:
        return tuple(
            ObservedReplica(
                replica_id,
                machine.launch.job_id,
                machine.step,
                None,
                f"http://10.0.0.1/{replica_id}",
                "",
                9 if machine.step is Step.GONE else None,
                machine.since,
            )
            for replica_id, machine in sorted(self.running.items())
        )

    async def stop(self, replica_id: str, grace_seconds: float) -> None:
        await asyncio.sleep(self.weather.rng.random() * self.pace)
        machine = self.running.pop(replica_id, None)
        if machine is not None and machine.step is Step.READY and self.requests_on.get(replica_id):
            self.cut.append(replica_id)
        self.changed.set()

    async def log(self, replica_id: str, *, tail_lines: int, after: int | None) -> None:
        return None

    async def close(self) -> None:
        return
