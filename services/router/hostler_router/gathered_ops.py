"""What operators ask of a router with several workers: /healthz, /readyz and /metrics of all of them in one answer.

Built by `workers`, served by the chassis on the configured ops port. Every question is passed on to the workers at once, on the
loopback ports that they reported, so an answer is never older than itself.
"""

import asyncio
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hostler_kit.ops import Check, Readiness
from hostler_router import merge
from hostler_router.worker_link import Report

_TIMEOUT_SECONDS: Final = 2.0


class Asked(Protocol):
    """What is known of a worker: its name, what it said last, and how many processes of this name have ended."""

    @property
    def name(self) -> str:
        """Of its process."""
        ...

    @property
    def report(self) -> Report | None:
        """Where it is; None where there is none."""
        ...

    @property
    def ends(self) -> int:
        """Grows whenever one ends."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class Gathered:
    """The answers of all workers."""

    def __init__(self, workers: Sequence[Asked]) -> None:
        self._workers = workers
        self._last: dict[str, merge.Figures] = {}
        self._kept: merge.Figures = merge.NOTHING

    def ended(self, worker: str) -> None:
        """A worker's process has ended: what it counted stays, as far as it was seen."""
        last = self._last.pop(worker, None)
        if last is not None:
            self._kept = merge.add_up((self._kept, merge.what_stays(last)))

    async def checks(self) -> dict[str, Check]:
        """Whether each worker is ready, and why not."""
        answers = await self._ask("/readyz")
        return {worker.name: _check(answer) for worker, answer in zip(self._workers, answers, strict=True)}

    async def metrics(self, own: bytes) -> bytes:
        """The figures of all workers and of this process together. A worker that does not answer counts as it did last."""
        ends = [worker.ends for worker in self._workers]
        answers = await self._ask("/metrics")
        for worker, before, answer in zip(self._workers, ends, answers, strict=True):
            # Of a process that has ended meanwhile we keep what was seen before: this would be counted twice.
            if answer is not None and answer.status == 200 and worker.ends == before:
                self._last[worker.name] = merge.parse(answer.body.decode())
        living = merge.add_up((merge.parse(own.decode()), *self._last.values()))
        self._kept = merge.without_gone_jobs(self._kept, living)
        return merge.render(merge.add_up((living, self._kept)))

    async def _ask(self, path: str) -> list[_Answer | None]:
        return await asyncio.gather(*(_ask(worker, path) for worker in self._workers))


def gathered_ops_app(gathered: Gathered, readiness: Readiness, registry: CollectorRegistry) -> Starlette:
    """The application of the ops port; `readiness` and `registry` are those of this process."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        report = {**readiness.report(), **await gathered.checks()}
        ready = all(check.ok for check in report.values())
        return JSONResponse(
            {
                "status": "ready" if ready else "not ready",
                "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in report.items()},
            },
            status_code=200 if ready else 503,
        )

    async def metrics(_: Request) -> Response:
        return Response(await gathered.metrics(generate_latest(registry)), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    )


async def _ask(worker: Asked, path: str) -> _Answer | None:
    """None when it has no ops port yet, or does not answer."""
    report = worker.report
    return None if report is None else await asyncio.to_thread(_get, report.ops_port, path)


def _get(port: int, path: str) -> _Answer | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return _Answer(answer.status, answer.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _check(answer: _Answer | None) -> Check:
    if answer is None:
        return Check(False, "it does not answer")
    if answer.status == 200:
        return Check(True)
    try:
        checks = json.loads(answer.body)["checks"].items()
        return Check(False, "; ".join(each["detail"] or name for name, each in checks if not each["ok"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Check(False, f"it answers {answer.status}")
