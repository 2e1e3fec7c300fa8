"""The asynchronous client. Its blocking twin is `sync_client`; they differ in the sending alone."""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx2

from hostler_client import dead_letters_api, http_options, jobs_api
from hostler_client.async_catalogue import AsyncMasters, AsyncProfiles
from hostler_client.async_scaling import AsyncScalingOfJobs
from hostler_client.async_tenancy import AsyncAudit, AsyncKeys, AsyncProjects
from hostler_client.connection import Connection, base_url, from_environment
from hostler_client.errors import Unavailable, Unreachable
from hostler_client.job_changes import JobChanges
from hostler_client.jobs_api import Call, ResultT
from hostler_client.models import (
    DeadLetter,
    DeadLetterWithMessage,
    Explanation,
    Job,
    JobEvent,
    JobMetrics,
    JobPage,
    Replica,
    ReplicaLog,
)
from hostler_client.new_job import NewJob
from hostler_client.retrying import Done, NoReply, RetryPolicy, decide
from hostler_client.waiting import SILENCE_SECONDS_MAX, Until, is_over, timed_out
from hostler_domain.phases import JobPhase


class AsyncHostlerClient:
    """The native API for asynchronous programs. Close it, or use it in `async with`."""

    def __init__(
        self,
        *,
        api_url: str,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        retry: RetryPolicy | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.connection = connection = Connection(base_url(api_url, "api_url"), api_key)
        self._retry = retry or RetryPolicy()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._http = httpx2.AsyncClient(
            base_url=connection.api_url,
            timeout=http_options.timeout(timeout_seconds),
            transport=transport,
            verify=http_options.verify(connection.api_url),
            trust_env=http_options.trust_env(connection.api_url),
        )
        self.jobs = AsyncJobs(self, self._retry)
        self.scaling = AsyncScalingOfJobs(self)
        self.dead_letters = AsyncDeadLetters(self)
        self.keys = AsyncKeys(self)
        self.projects = AsyncProjects(self)
        self.masters = AsyncMasters(self)
        self.profiles = AsyncProfiles(self)
        self.audit = AsyncAudit(self)

    @classmethod
    def from_environment(cls) -> Self:
        """The client that HOSTLER_API_URL and HOSTLER_API_KEY describe."""
        return cls.to(from_environment())

    @classmethod
    def to(cls, connection: Connection) -> Self:
        """The client for a connection."""
        return cls(api_url=connection.api_url, api_key=connection.api_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def perform(self, call: Call[ResultT]) -> ResultT:
        """Send a request, again where that may help, and read its answer."""
        attempt = 1
        while True:
            outcome = await self._send(call)
            match decide(call, outcome, attempt=attempt, policy=self._retry, rng=self._rng):
                case Done(value):
                    return value
                case again:
                    await asyncio.sleep(again.delay_seconds)
            attempt += 1

    async def stream(self, call: Call[None]) -> AsyncGenerator[JobEvent, None]:
        """Send a request once and read the events of its answer until the stream ends.

        Raises:
            Unreachable: it broke, or never came.
        """
        request = self._request(call, http_options.timeout(SILENCE_SECONDS_MAX))
        try:
            response = await self._http.send(request, stream=True)
            async with aclosing(response):
                if response.status_code != httpx2.codes.OK:
                    await response.aread()
                    raise jobs_api.problem(http_options.reply(response))
                async for sent in httpx2.EventSource(response):
                    if sent.data:
                        yield jobs_api.read_event(sent.data)
        except httpx2.HTTPError as error:
            raise Unreachable(http_options.unreachable_text(self.connection.api_url, error)) from None

    async def _send(self, call: Call[ResultT]) -> jobs_api.Reply | NoReply:
        try:
            return http_options.reply(await self._http.send(self._request(call)))
        except httpx2.HTTPError as error:
            return NoReply(http_options.unreachable_text(self.connection.api_url, error))

    def _request(self, call: Call[ResultT], timeout: httpx2.Timeout | None = None) -> httpx2.Request:
        return self._http.build_request(
            call.method,
            call.path,
            params=dict(call.params),
            headers=http_options.headers(call, self.connection.headers),
            content=call.body,
            timeout=timeout or http_options.patience(call, self._http.timeout),
        )


class AsyncJobs:
    """Jobs: create, read, change, delete, follow, wait."""

    def __init__(self, client: AsyncHostlerClient, retry: RetryPolicy) -> None:
        self._client = client
        self._retry = retry

    async def create(self, job: NewJob, *, idempotency_key: str | None = None) -> Job:
        """Ask for a job. It comes back at once; `wait` until it serves."""
        return await self._client.perform(
            jobs_api.create(job, idempotency_key=idempotency_key or str(uuid.uuid4()))
        )

    async def get(self, job: str, *, project: str | None = None) -> Job:
        """One job, by id or by name."""
        return await self._client.perform(jobs_api.get(job, project=project))

    async def delete(self, job: str) -> Job:
        """Take a job down with everything that belongs to it; its history stays."""
        return await self._client.perform(jobs_api.delete(job))

    async def stop(self, job: str) -> Job:
        """End all replicas of a job and keep it; `resume` starts it over."""
        return await self._client.perform(jobs_api.stop(job))

    async def resume(self, job: str) -> Job:
        """Start a stopped or failed job over."""
        return await self._client.perform(jobs_api.resume(job))

    async def restart(self, job: str, *, of_generation: int | None = None) -> Job:
        """Replace every replica, one at a time; by default those that there are now."""
        if of_generation is None:
            of_generation = (await self.get(job)).generation
        return await self._client.perform(jobs_api.restart(job, of_generation=of_generation))

    async def scale(self, job: str, replicas: int, *, hold_seconds: int | None = None) -> Job:
        """Have another number of replicas, within the job's bounds; its load scales it on from there, at once or after the hold."""
        return await self._client.perform(jobs_api.scale(job, replicas, hold_seconds=hold_seconds))

    async def replicas(self, job: str, *, project: str | None = None) -> tuple[Replica, ...]:
        """The replicas of a job: those that live, and the latest that ended."""
        return (await self._client.perform(jobs_api.replicas(job, project=project))).data

    async def update(self, job: str, changes: JobChanges, *, revision: int | None = None) -> Job:
        """Change a job; with a revision only if it is still the one that was read, else `PreconditionFailed`."""
        return await self._client.perform(jobs_api.update(job, changes, revision=revision))

    async def explain(self, job: str, *, project: str | None = None) -> Explanation:
        """Why a job is where it is, what each replica does, and what happens next."""
        return await self._client.perform(jobs_api.explain(job, project=project))

    async def replica_log(
        self,
        job: str,
        replica_id: str,
        *,
        tail: int | None = None,
        after: int | None = None,
        project: str | None = None,
    ) -> ReplicaLog:
        """What a replica wrote: its last lines, or what comes behind the place `after`, which the part before named."""
        return await self._client.perform(
            jobs_api.replica_log(job, replica_id, tail=tail, after=after, project=project)
        )

    async def metrics(
        self,
        job: str,
        *,
        names: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        samples: int | None = None,
        replica: str | None = None,
        project: str | None = None,
    ) -> JobMetrics:
        """What a job, or one of its replicas, did over time; the last hour and every series by default."""
        call = jobs_api.metrics(
            job, names=names, start=start, end=end, samples=samples, replica=replica, project=project
        )
        return await self._client.perform(call)

    async def page(
        self,
        *,
        project: str | None = None,
        phase: str | None = None,
        model: str | None = None,
        labels: Mapping[str, str] | None = None,
        include_deleted: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> JobPage:
        """One page of jobs, newest first."""
        return await self._client.perform(
            jobs_api.page(
                project=project,
                phase=phase,
                model=model,
                labels=labels,
                include_deleted=include_deleted,
                after=after,
                limit=limit,
            )
        )

    async def list(
        self,
        *,
        project: str | None = None,
        phase: str | None = None,
        model: str | None = None,
        labels: Mapping[str, str] | None = None,
        include_deleted: bool = False,
    ) -> AsyncIterator[Job]:
        """All jobs, newest first, page by page as they are taken."""
        after: str | None = None
        while True:
            page = await self.page(
                project=project,
                phase=phase,
                model=model,
                labels=labels,
                include_deleted=include_deleted,
                after=after,
            )
            for job in page.data:
                yield job
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def events(self, job: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """The history of a job up to now, oldest first, from behind the sequence `after`."""
        while True:
            page = await self._client.perform(jobs_api.events_page(job, after=after))
            for event in page.data:
                yield event
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def follow(self, job: str, *, after: int = 0) -> AsyncGenerator[JobEvent, None]:
        """The history of a job and what comes, until it is deleted; a broken stream is taken up where it was.

        Raises:
            Unreachable: it broke too often in a row.
        """
        breaks = 0
        while True:
            try:
                async with aclosing(self._client.stream(jobs_api.events_stream(job, after=after))) as events:
                    async for event in events:
                        breaks, after = 0, event.sequence
                        yield event
                        if event.job.phase == JobPhase.DELETED:
                            return
                if (await self.get(job)).phase == JobPhase.DELETED:
                    return
            except (Unreachable, Unavailable):
                breaks += 1
                if breaks >= self._retry.attempts:
                    raise
            await asyncio.sleep(self._retry.poll_interval_seconds)

    async def wait(
        self,
        job: str,
        *,
        until: Until = Until.READY,
        timeout_seconds: float = 1800.0,
        on_update: Callable[[Job], None] | None = None,
    ) -> Job:
        """The job once it has come to `until`; `on_update` is called with each state on the way.

        Raises:
            JobFailed: it can't come there any more.
            WaitTimeout: it did not come there in time.
        """
        latest: Job | None = None
        try:
            async with asyncio.timeout(timeout_seconds), aclosing(self._states(job)) as states:
                async for latest in states:
                    if on_update is not None:
                        on_update(latest)
                    if is_over(latest, until):
                        return latest
        except TimeoutError:
            pass
        raise timed_out(job, until, timeout_seconds, latest)

    async def _states(self, job: str) -> AsyncGenerator[Job, None]:
        """The job as it is and after each event, for ever: from its stream, and read anew whenever that breaks."""
        document = await self.get(job)
        yield document
        while True:
            try:
                call = jobs_api.events_stream(document.job_id, after=document.revision)
                async with aclosing(self._client.stream(call)) as events:
                    async for event in events:
                        yield event.job
            except (Unreachable, Unavailable):
                pass  # the job is read below, and the stream tried again after it, until the caller's time is up
            await asyncio.sleep(self._retry.poll_interval_seconds)
            try:
                document = await self.get(document.job_id)
            except (Unreachable, Unavailable):
                continue
            yield document


class AsyncDeadLetters:
    """Messages that a consumer has given up, for admins: list, read, replay, discard."""

    def __init__(self, client: AsyncHostlerClient) -> None:
        self._client = client

    async def list(
        self, *, stream: str | None = None, consumer: str | None = None, state: str | None = None
    ) -> AsyncIterator[DeadLetter]:
        """Letters, latest given up first, page by page as they are taken."""
        after: str | None = None
        while True:
            call = dead_letters_api.page(stream=stream, consumer=consumer, state=state, after=after)
            page = await self._client.perform(call)
            for letter in page.data:
                yield letter
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def get(self, letter: str) -> DeadLetterWithMessage:
        """One letter and its message."""
        return await self._client.perform(dead_letters_api.get(letter))

    async def replay(self, letter: str) -> DeadLetter:
        """Hand the message to its consumer again; what fails again is a dead letter again."""
        return await self._client.perform(dead_letters_api.replay(letter))

    async def discard(self, letter: str) -> DeadLetter:
        """Note that a letter needs nothing."""
        return await self._client.perform(dead_letters_api.discard(letter))
