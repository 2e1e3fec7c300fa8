"""A line per request: the same from here as from the logger, seldom written, never with a secret."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from typing import BinaryIO

import pytest
import structlog

from hostler_kit.logs import Logger
from hostler_router.access_log import AccessLog
from hostler_router.exchange import Exchange, Outcome

TOKEN = "hf_CanaryOfHuggingFace0123456789abcdef"
PROGRAM = f"""
import asyncio, sys
from hostler_kit.logs import configure_logs, json_stream
from hostler_router.access_log import AccessLog
from hostler_router.exchange import Outcome

logger = configure_logs(service="router-1-w1", level="info", form="json")

async def main():
    for stream in (None, json_stream("json")):
        log = AccessLog(logger, stream, service="router-1-w1")
        log.note("id-{TOKEN}", "/v1/models", "", "", 200, Outcome.ANSWERED, False, 0, 0.00123, model="\\u00fc {TOKEN}", tokens=3, cached=None)
        log.note("id-2", "/v1/chat/completions", "job-1", "r1", 499, Outcome.CLIENT_GONE, True, 2, 1.5)
        log.flush()

asyncio.run(main())
"""


def logger_into(entries: structlog.testing.LogCapture, level: int = 0) -> Logger:
    logger: Logger = structlog.wrap_logger(
        None, processors=[entries], wrapper_class=structlog.make_filtering_bound_logger(level)
    )
    return logger


@pytest.fixture
def capture() -> structlog.testing.LogCapture:
    return structlog.testing.LogCapture()


def note(log: AccessLog, request_id: str = "id-1", **more: str | int) -> None:
    log.note(request_id, "/v1/models", "", "", 200, Outcome.ANSWERED, False, 0, 0.001, **more)


def test_a_line_from_here_is_what_the_logger_would_have_written() -> None:
    """In a process of its own, since logging is set up once for a whole process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    for line in lines:
        assert time.time() - 600 < _seconds(line.pop("timestamp")) < time.time() + 1
    assert lines[2:] == lines[:2]
    assert list(lines[2]) == list(lines[0]), "and in the same order"
    assert lines[2]["model"] == "ü hf_[redacted]"
    assert TOKEN not in done.stdout


def _seconds(timestamp: object) -> float:
    from datetime import datetime

    assert isinstance(timestamp, str)
    assert len(timestamp) == len("2026-11-21T10:08:12.852720Z")
    return datetime.fromisoformat(timestamp).timestamp()


def test_requests_that_are_noted_together_ended_when_each_did() -> None:
    out = io.BytesIO()
    log = AccessLog(structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(0)), out)
    exchanges = [Exchange(f"id-{number}", "/v1/completions", 40.0 + number) for number in range(2)]
    log.note_all([(exchange, 0.25) for exchange in exchanges], 200, ahead_seconds=1_800_000_000.0)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["timestamp"] for line in lines] == [
        "2027-01-15T08:00:40.250000Z",
        "2027-01-15T08:00:41.250000Z",
    ]
    assert [line["ms"] for line in lines] == [250.0, 250.0]


async def test_many_lines_are_one_write_a_tenth_of_a_second_later(
    capture: structlog.testing.LogCapture,
) -> None:
    writes: list[bytes] = []

    class Stream(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written
            writes.append(data)
            return len(data)

    log = AccessLog(logger_into(capture), Stream(), service="router-1")
    for number in range(50):
        note(log, f"id-{number}")
    assert writes == []
    async with asyncio.timeout(5):
        while not writes:  # noqa: ASYNC110  # the loop's own timer is what is tested
            await asyncio.sleep(0.01)
    assert len(writes) == 1
    assert [json.loads(line)["request_id"] for line in writes[0].splitlines()] == [
        f"id-{number}" for number in range(50)
    ]
    assert capture.entries == []


async def test_lines_do_not_pile_up(capture: structlog.testing.LogCapture) -> None:
    stream = io.BytesIO()
    log = AccessLog(logger_into(capture), stream)
    for _ in range(2000):
        note(log)
    assert stream.getvalue().count(b"\n") == 2000


def test_where_people_read_along_a_line_is_there_at_once(capture: structlog.testing.LogCapture) -> None:
    note(AccessLog(logger_into(capture), None), model="tiny")
    (entry,) = capture.entries
    assert (entry["event"], entry["model"], entry["ms"], entry["job"]) == ("request", "tiny", 1.0, None)


async def test_a_log_of_warnings_alone_has_no_requests(capture: structlog.testing.LogCapture) -> None:
    stream = io.BytesIO()
    log = AccessLog(logger_into(capture, level=30), stream)
    note(log)
    log.flush()
    note(AccessLog(logger_into(capture, level=30), None))
    assert (stream.getvalue(), capture.entries) == (b"", [])


async def test_what_is_no_unicode_does_not_cost_the_other_lines(
    capture: structlog.testing.LogCapture,
) -> None:
    stream = io.BytesIO()
    log = AccessLog(logger_into(capture), stream)
    note(log, "id-\udcff")
    note(log, "id-2")
    log.flush()
    assert [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()] == [
        "id-\udcff",
        "id-2",
    ]


async def test_to_a_pipe_go_whole_lines_in_pieces_that_nobody_can_interrupt(
    capture: structlog.testing.LogCapture,
) -> None:
    reader, writer = os.pipe()
    sizes: list[int] = []

    class Piped(io.FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written
            sizes.append(len(data))
            return super().write(data)

    with Piped(writer, "wb") as stream, os.fdopen(reader, "rb") as read_end:
        log = AccessLog(logger_into(capture), _binary(stream))
        for number in range(100):
            note(log, f"id-{number}")
        log.flush()
        stream.close()
        lines = read_end.read().splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == [f"id-{number}" for number in range(100)]
    assert max(sizes) <= 4096
    assert 4 <= len(sizes) < 10


def _binary(stream: io.FileIO) -> BinaryIO:
    return stream  # type: ignore[return-value]  # typeshed keeps raw files apart


async def test_a_log_that_can_not_be_written_is_counted_and_stops_nobody(
    capture: structlog.testing.LogCapture,
) -> None:
    stream = io.BytesIO()
    log = AccessLog(logger_into(capture), stream)
    stream.close()
    note(log)
    log.flush()
    assert log.lost == 1


async def test_noting_and_writing_cost_a_few_microseconds(capture: structlog.testing.LogCapture) -> None:
    """Five at most on a quiet machine (docs/observability.md); ten times that here, for a busy one."""
    log = AccessLog(logger_into(capture), io.BytesIO())

    def seconds() -> float:
        started = time.process_time()
        for _ in range(4000):
            note(log, "01a1fd93-e6cf-70c7-8d01-76a562d1ec74")
        log.flush()
        return time.process_time() - started

    assert min(seconds() for _ in range(3)) / 4000 < 50e-6
