"""Leases: at most one holder of a name at a time, as far as clocks allow.

A lease is a key with a time to live in the bucket `leases`. It is taken when the key has no value, renewed by compare-and-set
well before it runs out, and given back by deleting it. A holder stops believing in it by its own monotonic clock, counted from
before the request that was last granted, so it lets go before the server does, also when it was frozen in between.

A lease only saves work: two may hold one for a moment. What makes the work right is the compare-and-set on the log and the
names of the effects.

What `next_step` answers:

    held | run out | next try due | step
    no   |         | yes          | Acquire
    no   |         | no           | Wait
    yes  | yes     |              | Lost
    yes  | no      | yes          | Renew
    yes  | no      | no           | Wait
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from uuid import uuid4

import structlog

from hostler_bus.errors import BusError, RevisionConflict
from hostler_bus.port import Bucket, Bus, Deleted
from hostler_contracts.subjects import BUCKET_LEASES
from hostler_kit.clock import Clock

_TRIES_PER_TTL = 3
_HURRIED_TRIES_PER_TTL = 10
_RELEASE_SECONDS = 1.0
_WAIT_SECONDS_MIN = 0.001

log = structlog.get_logger("hostler.lease")


@dataclass(frozen=True, slots=True)
class LeaseView:
    """What one candidate knows.

    Attributes:
        ttl_seconds: How long a grant lasts.
        revision: Of its grant; None while it holds none.
        granted_at: Monotonic time just before the request that was last granted.
        tried_at: Monotonic time just before the last request, granted or not.
    """

    ttl_seconds: float
    revision: int | None = None
    granted_at: float = 0.0
    tried_at: float | None = None

    @property
    def until(self) -> float:
        """When the grant runs out."""
        return self.granted_at + self.ttl_seconds


@dataclass(frozen=True, slots=True)
class Acquire:
    """Try to take the lease."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Make the grant last longer."""

    revision: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The grant ran out without a renewal."""


Step = Acquire | Renew | Wait | Lost


def next_step(view: LeaseView, now: float) -> Step:
    """What a candidate does at the monotonic time `now`."""
    if view.revision is None:
        due = now if view.tried_at is None else view.tried_at + view.ttl_seconds / _TRIES_PER_TTL
        return Acquire() if now >= due else _wait_until(due, now)
    if now >= view.until:
        return Lost()
    due = view.granted_at + view.ttl_seconds / _TRIES_PER_TTL
    if view.tried_at is not None and view.tried_at > view.granted_at:
        due = max(due, view.tried_at + view.ttl_seconds / _HURRIED_TRIES_PER_TTL)
    return Renew(view.revision) if now >= due else _wait_until(min(due, view.until), now)


def _wait_until(due: float, now: float) -> Wait:
    # Not shorter than a timer is exact, or the sum of the two would stay just below `due` for ever.
    return Wait(max(due - now, _WAIT_SECONDS_MIN))


class Lease:
    """One candidate's side of a lease; made by `hold`."""

    def __init__(self, bucket: Bucket, name: str, holder: str, ttl_seconds: int, clock: Clock) -> None:
        self.name = name
        self._bucket = bucket
        self._holder = holder
        # Two processes that were given one name by mistake must still not take each other's grant for their own.
        self._value = f"{holder}/{uuid4().hex}".encode()
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._view = LeaseView(ttl_seconds)
        self._told = False
        self._flipped = asyncio.Event()
        self._woken = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours at this very moment."""
        return self._view.revision is not None and self._clock.monotonic() < self._view.until

    async def changed(self) -> bool:
        """Wait until it was won or lost, then say whether it is held.

        Raises what ended the campaign, should a bug have done so.
        """
        await self._flipped.wait()
        if self._failure is not None:
            raise self._failure
        return self.held

    async def campaign(self) -> None:
        """Take the lease, keep it, take it again; for ever."""
        while True:
            match next_step(self._view, self._clock.monotonic()):
                case Acquire():
                    await self._acquire()
                case Renew(revision):
                    await self._renew(revision)
                case Lost():
                    self._drop("it ran out")
                case Wait(seconds):
                    await self._wait(seconds)
            self._tell()

    async def watch(self) -> None:
        """Wake the campaign as soon as the holder is gone, instead of at its next try."""
        async with self._bucket.watch(self.name) as changes:
            async for change in changes:
                if isinstance(change, Deleted) and self._view.revision is None:
                    self._view = replace(self._view, tried_at=None)
                    self._woken.set()

    async def release(self) -> None:
        """Give it back if it is held, so that the next one need not wait for it to run out."""
        revision, self._view = self._view.revision, LeaseView(self._ttl_seconds)
        self._tell()
        if revision is not None:
            with suppress(BusError):
                await self._bucket.delete(self.name, revision=revision, deadline_seconds=_RELEASE_SECONDS)

    def ended(self, campaign: asyncio.Task[None]) -> None:
        """The campaign has ended; whoever waits for a change must learn why."""
        if not campaign.cancelled() and (failure := campaign.exception()) is not None:
            self._failure = failure
            self._flipped.set()

    async def _acquire(self) -> None:
        at = self._clock.monotonic()
        self._view = replace(self._view, tried_at=at)
        try:
            revision = await self._bucket.create(
                self.name,
                self._value,
                ttl_seconds=self._ttl_seconds,
                deadline_seconds=self._ttl_seconds / _TRIES_PER_TTL,
            )
        except RevisionConflict:
            await self._adopt()
        except BusError as error:
            log.info("lease.no_answer", lease=self.name, holder=self._holder, reason=str(error))
        else:
            self._grant(revision, at)

    async def _renew(self, revision: int) -> None:
        at = self._clock.monotonic()
        self._view = replace(self._view, tried_at=at)
        try:
            renewed = await self._bucket.update(
                self.name,
                self._value,
                revision=revision,
                ttl_seconds=self._ttl_seconds,
                deadline_seconds=self._ttl_seconds / _TRIES_PER_TTL,
            )
        except RevisionConflict:
            await self._adopt()
        except BusError as error:
            log.info("lease.no_answer", lease=self.name, holder=self._holder, reason=str(error))
        else:
            self._grant(renewed, at)

    async def _adopt(self) -> None:
        """A refusal: somebody else has it, or an earlier try of ours, of which we heard nothing, was granted after all.

        In the second case its revision is ours, but not its time: how old it is can't be known, so it is renewed at once.
        """
        try:
            async with asyncio.timeout(self._ttl_seconds / _TRIES_PER_TTL):
                entry = await self._bucket.get(self.name)
        except (BusError, TimeoutError):
            return
        if entry is None or entry.value != self._value:
            self._drop("somebody else has it")
        elif self._view.revision is None:
            # It was an attempt to take it: nothing of it may be believed before a renewal succeeds.
            at = self._clock.monotonic()
            try:
                revision = await self._bucket.update(
                    self.name,
                    self._value,
                    revision=entry.revision,
                    ttl_seconds=self._ttl_seconds,
                    deadline_seconds=self._ttl_seconds / _TRIES_PER_TTL,
                )
            except BusError:
                return
            self._grant(revision, at)
        else:
            self._view = replace(self._view, revision=entry.revision, tried_at=None)

    def _grant(self, revision: int, at: float) -> None:
        self._view = LeaseView(self._ttl_seconds, revision, granted_at=at, tried_at=at)

    def _drop(self, reason: str) -> None:
        if self._view.revision is not None:
            log.warning("lease.lost", lease=self.name, holder=self._holder, reason=reason)
            self._view = LeaseView(self._ttl_seconds, tried_at=self._view.tried_at)

    def _tell(self) -> None:
        if self.held != self._told:
            self._told = not self._told
            log.info("lease.held" if self._told else "lease.not_held", lease=self.name, holder=self._holder)
            flipped, self._flipped = self._flipped, asyncio.Event()
            flipped.set()

    async def _wait(self, seconds: float) -> None:
        self._woken.clear()
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


@asynccontextmanager
async def hold(bus: Bus, name: str, *, holder: str, ttl_seconds: int, clock: Clock) -> AsyncIterator[Lease]:
    """Campaign for the lease `name` while the block runs, and give it back at its end.

    Inside the block, look at `held` before every piece of work that only the holder does, and wait for `changed()` otherwise.
    """
    lease = Lease(bus.bucket(BUCKET_LEASES), name, holder, ttl_seconds, clock)
    campaign = asyncio.create_task(lease.campaign(), name=f"lease-{name}")
    campaign.add_done_callback(lease.ended)
    watch = asyncio.create_task(lease.watch(), name=f"lease-{name}-watch")
    try:
        yield lease
    finally:
        for task in (campaign, watch):
            task.cancel()
        await asyncio.wait((campaign, watch))
        await lease.release()
