"""The answers of several workers as one, while workers come and go between two questions."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hostler_router.gathered_ops import Gathered
from hostler_router.worker_link import Report

OWN = b"# TYPE own gauge\nown 1\n"


@dataclass
class Process:
    """A worker's ops port, with a figure of its own."""

    name: str
    hits: int
    ready: bytes | None = None
    report: Report | None = None
    ends: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)


@contextmanager
def served(process: Process) -> Iterator[Process]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that the server looks for
            process.asked.set()
            process.answer.wait(30)
            if self.path == "/readyz":
                status, body = (200, b"{}") if process.ready is None else (503, process.ready)
            else:
                status, body = 200, f"# TYPE hits_total counter\nhits_total {process.hits}\n".encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base class has it
            pass

    process.answer.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        process.report = Report(server.server_port, serves=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield process
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def one() -> Iterator[Process]:
    with served(Process("w1", 10)) as process:
        yield process


@pytest.fixture
def two() -> Iterator[Process]:
    with served(Process("w2", 5)) as process:
        yield process


async def hits(gathered: Gathered) -> float:
    text = (await gathered.metrics(OWN)).decode()
    values = {
        sample.name: sample.value for each in text_string_to_metric_families(text) for sample in each.samples
    }
    assert values["own"] == 1
    return values["hits_total"]


def dies(gathered: Gathered, process: Process) -> None:
    process.report = None
    process.ends += 1
    gathered.ended(process.name)


async def test_the_sum_never_falls_when_a_worker_dies_and_begins_anew(one: Process, two: Process) -> None:
    gathered = Gathered([one, two])
    assert await hits(gathered) == 15
    lived = one.report
    dies(gathered, one)
    assert await hits(gathered) == 15
    one.report, one.hits = lived, 2
    assert await hits(gathered) == 17
    dies(gathered, one)
    assert await hits(gathered) == 17


async def test_a_worker_that_does_not_answer_counts_as_it_did_last(one: Process, two: Process) -> None:
    gathered = Gathered([one, two])
    assert await hits(gathered) == 15
    one.report = Report(1, serves=True)
    two.hits = 6
    assert await hits(gathered) == 16


async def test_what_a_worker_answered_as_it_died_is_not_counted_twice(one: Process, two: Process) -> None:
    gathered = Gathered([one, two])
    assert await hits(gathered) == 15
    one.hits = 11
    one.asked.clear()
    one.answer.clear()
    asking = asyncio.create_task(hits(gathered))
    await asyncio.to_thread(one.asked.wait, 30)
    lived = one.report
    dies(gathered, one)
    one.answer.set()
    assert await asking == 15, "what was seen before it died"
    one.report, one.hits = lived, 1
    assert await hits(gathered) == 16


async def test_who_is_not_ready_is_named_with_its_reason(one: Process, two: Process) -> None:
    gathered = Gathered([one, two, Process("w3", 0)])
    two.ready = b'{"checks": {"jobs": {"ok": false, "detail": "the job log is being read"}, "x": {"ok": true, "detail": ""}}}'
    checks = await gathered.checks()
    assert {name: (check.ok, check.detail) for name, check in checks.items()} == {
        "w1": (True, ""),
        "w2": (False, "the job log is being read"),
        "w3": (False, "it does not answer"),
    }
    two.ready = b"nonsense"
    assert (await gathered.checks())["w2"].detail == "it answers 503"
