"""What the router costs, beside nginx and a direct connection in one run: `make bench-router`, or `python -m bench.router --quick`.

Figures and targets are in figures.py, the method is in README.md. It judges by ratios to nginx of the same run, because microseconds move with the machine;
it ends with 0 whatever came of it, unless `--strict` is given.
"""

import argparse
import asyncio
import http.client
import json
import math
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.router import figures, load
from bench.router.figures import Figure, Measured
from bench.router.machine import allow_many_files, cpu_seconds, description, resident_mib
from bench.router.targets import MODEL, Surroundings, Target, nginx, upstreams
from hostler_kit.logs import configure_logs

_PROMPT = "The quick brown fox jumps over the lazy dog. "
_EVENTS = 64
_PACE_MILLISECONDS = 20
_RAMP_PER_SECOND = 2000.0
_READY_ROUNDS = 10
_BUSY_POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        repeats: Of everything, the targets taking turns.
        seconds: Of each measurement.
        streams: How many in W4.
        stream_seconds: How long those are watched.
        journal: Also a router with a journal.
        busy_poll: Also each of them with busy polling.
        only: Parts of the names of figures; empty for all.
    """

    repeats: int
    seconds: float
    streams: int
    stream_seconds: float
    journal: bool
    busy_poll: bool
    only: tuple[str, ...]

    def wants(self, *wanted: Figure) -> bool:
        """Whether one of these is to be measured."""
        return not self.only or any(part in figure.name for part in self.only for figure in wanted)


def body(prompt_bytes: int, **fields: object) -> bytes:
    """A request; what decides on its answer comes before the prompt."""
    text = (_PROMPT * (prompt_bytes // len(_PROMPT) + 1))[:prompt_bytes]
    document = {"model": MODEL, **fields, "messages": [{"role": "user", "content": text}]}
    return json.dumps(document, separators=(",", ":")).encode()


SMALL = body(900, max_tokens=200)
LARGE = body(100_000, max_tokens=200)
PACED = body(200, stream=True, max_tokens=_EVENTS, user=f"pace-{_PACE_MILLISECONDS}")
FAST = body(200, stream=True, max_tokens=_EVENTS)
BRIEF = body(200, stream=True, max_tokens=4, user=f"pace-{_PACE_MILLISECONDS}")


def measure_once(
    measured: Measured,
    plan: Plan,
    targets: Sequence[Target],
    busy: Sequence[Target],
    direct: Target,
    nats_pid: int,
) -> None:
    """Every workload once for every target, one after the other; of `busy` only what a caller waits for, since they take all the CPU there is."""
    if plan.wants(figures.W4_CPU, figures.W4_RSS):
        for target in targets:
            held_streams(measured, plan, target)
    for figure, sent, connections in ((figures.W1, SMALL, 64), (figures.W3, LARGE, 16)):
        if plan.wants(figure):
            for target in targets:
                plain_answers(measured, figure, target, sent, connections, plan.seconds, nats_pid)
    for figure, sent in ((figures.W2_PACED, PACED), (figures.W2_FAST, FAST)):
        if plan.wants(figure):
            for target in targets:
                streamed_answers(measured, figure, target, sent, plan.seconds)
    waits(measured, plan, [*targets, *busy], direct)


def waits(measured: Measured, plan: Plan, targets: Sequence[Target], direct: Target) -> None:
    """What a lone caller waits for longer than at the upstream itself."""
    if plan.wants(figures.ADDED_P50, figures.ADDED_P99):
        base = load.requests(direct.port, direct.key, SMALL, connections=1, seconds=plan.seconds)
        for target in targets:
            seen = load.requests(target.port, target.key, SMALL, connections=1, seconds=plan.seconds)
            measured.note(figures.ADDED_P50, target.name, seen.p50_us - base.p50_us)
            measured.note(figures.ADDED_P99, target.name, seen.p99_us - base.p99_us)
    for figure, sent in ((figures.FIRST_P50, FAST), (figures.FIRST_PACED_P50, BRIEF)):
        if plan.wants(figure):
            least = load.streams(direct.port, direct.key, sent, connections=1, seconds=plan.seconds)
            for target in targets:
                heard = load.streams(target.port, target.key, sent, connections=1, seconds=plan.seconds)
                measured.note(figure, target.name, heard.first_p50_us - least.first_p50_us)


def plain_answers(
    measured: Measured,
    figure: Figure,
    target: Target,
    sent: bytes,
    connections: int,
    seconds: float,
    nats_pid: int,
) -> None:
    """CPU for each request."""
    assert target.pid is not None
    before, nats_before = cpu_seconds(target.pid), cpu_seconds(nats_pid)
    seen = load.requests(target.port, target.key, sent, connections=connections, seconds=seconds)
    if seen.errors or not seen.requests:
        sys.exit(f"{target.name}: {seen.errors} errors in {seen.requests} requests of {figure.name}")
    measured.note(figure, target.name, (cpu_seconds(target.pid) - before) / seen.requests * 1e6)
    if figure is figures.W1:
        measured.note(figures.RATE, target.name, seen.requests / seen.seconds)
        measured.note(figures.NATS, target.name, (cpu_seconds(nats_pid) - nats_before) / seen.requests * 1e6)


def streamed_answers(measured: Measured, figure: Figure, target: Target, sent: bytes, seconds: float) -> None:
    """CPU for each event."""
    assert target.pid is not None
    before = cpu_seconds(target.pid)
    seen = load.streams(target.port, target.key, sent, connections=64, seconds=seconds)
    if seen.broken or not seen.streams:
        sys.exit(f"{target.name}: {seen.broken} broken streams, {seen.streams} whole ones of {figure.name}")
    spent = cpu_seconds(target.pid) - before
    measured.note(figure, target.name, spent / (seen.streams * _EVENTS) * 1e6)


def held_streams(measured: Measured, plan: Plan, target: Target) -> None:
    """CPU for each event, and memory, while many streams are open."""
    pid = target.pid
    assert pid is not None
    spent = math.nan

    def watch() -> None:
        nonlocal spent
        before, began = cpu_seconds(pid), time.perf_counter()
        most = 0.0
        while time.perf_counter() - began < plan.stream_seconds:
            time.sleep(0.5)
            most = max(most, resident_mib(pid))
        spent = (cpu_seconds(pid) - before) / (time.perf_counter() - began)
        measured.note(figures.W4_RSS, target.name, most)

    # So long that the first has not ended when the last has been watched; the ramp is slower than planned on a busy machine.
    tokens = math.ceil(plan.stream_seconds + 3 * plan.streams / _RAMP_PER_SECOND + 5)
    sent = body(200, stream=True, max_tokens=tokens, user="pace-1000")
    seen = load.streams(
        target.port, target.key, sent, connections=plan.streams, seconds=plan.stream_seconds, meanwhile=watch
    )
    if seen.broken or seen.streams != plan.streams:
        sys.exit(f"{target.name}: of {plan.streams} streams {seen.broken} broke, {seen.streams} were whole")
    measured.note(figures.W4_CPU, target.name, spent / plan.streams * 1e6)


def _post(connection: http.client.HTTPConnection, key: str, model: str) -> int:
    text = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", text, headers)
    response = connection.getresponse()
    response.read()
    return response.status


def _answered_at(target: Target, model: str) -> float:
    """Ask until there is an answer: one that waits gets it at once, one that is refused asks again at once."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    deadline = time.perf_counter() + 30
    try:
        while _post(connection, target.key, model) != 200:
            if time.perf_counter() > deadline:
                sys.exit(f"{model} is not routed to")
        return time.perf_counter()
    finally:
        connection.close()


async def ready_to_routed(measured: Measured, around: Surroundings, target: Target, port: int) -> None:
    """From the moment when the event is sent; what storing it takes is in it."""
    seconds = []
    for number in range(_READY_ROUNDS):
        name = f"cold-{number}"
        entry = await around.scheduled(await around.add_job(name, [port]), 0)
        asking = asyncio.create_task(asyncio.to_thread(_answered_at, target, name))
        await asyncio.sleep(0.3)
        began = time.perf_counter()
        await around.ready(entry, 0, port)
        seconds.append(await asking - began)
    measured.note(figures.READY, target.name, statistics.median(seconds) * 1000)


async def run(plan: Plan, files: int) -> tuple[Measured, list[str]]:
    """Start everything, measure, end everything."""
    measured = Measured()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="hostler-bench-")))
        ports = running.enter_context(upstreams(folder))
        direct = Target("direct", ports[0], "unused")
        around = Surroundings(folder)
        running.enter_context(around.servers())
        async with around.connected():
            await around.add_replicas(await around.add_job(MODEL, ports), ports)
            key = await around.add_key("plain", limited=False)
            router = running.enter_context(around.router("router", key))
            targets = [running.enter_context(nginx(folder, ports, files)), router]
            limited = await around.add_key("limited", limited=True)
            targets.append(Target("router, limits", router.port, limited, router.pid))
            commits = ["stream", "journal"] if plan.journal else ["stream"]
            if plan.journal:
                other = running.enter_context(around.router("journal", key, usage_commit="journal"))
                targets.append(replace(other, name="router, journal"))
            busy = []
            for commit in commits if plan.busy_poll else ():
                other = running.enter_context(
                    around.router(
                        f"busy-{commit}", key, usage_commit=commit, busy_poll_seconds=_BUSY_POLL_SECONDS
                    )
                )
                busy.append(replace(other, name=f"router, {'' if commit == 'stream' else 'journal, '}busy"))
            await asyncio.to_thread(_warm, [*targets, *busy])
            for number in range(plan.repeats):
                print(f"repeat {number + 1} of {plan.repeats}", file=sys.stderr, flush=True)
                await asyncio.to_thread(measure_once, measured, plan, targets, busy, direct, around.nats_pid)
            if plan.wants(figures.READY):
                await ready_to_routed(measured, around, router, ports[0])
    return measured, [target.name for target in (*targets, *busy)]


def _warm(targets: Sequence[Target]) -> None:
    """Before anything counts: connections, caches, and a key that has just come."""
    for target in targets:
        load.requests(target.port, target.key, SMALL, connections=16, seconds=1)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short repeat, about a minute")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--streams", type=int, default=1000, help="open at once in W4")
    parser.add_argument("--only", default="", help="parts of the names of figures, with commas between")
    parser.add_argument(
        "--journal",
        action="store_true",
        help="also a router whose answers wait for its journal, not for NATS",
    )
    parser.add_argument(
        "--busy-poll", action="store_true", help="also routers that look for the next event without sleeping"
    )
    parser.add_argument("--json", type=Path, help="write everything that was seen there as well")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a target was missed")
    options = parser.parse_args()
    only = tuple(filter(None, options.only.split(",")))
    if only and not any(part in figure.name for part in only for figure in figures.FIGURES):
        parser.error(f"--only: no figure has {options.only!r} in its name")
    # What was started ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    configure_logs(service="bench", level="error", form="console")
    load.need_wrk()
    files = allow_many_files()
    # A proxy has two connections for each stream.
    streams = min(options.streams, (files - 2_000) // 2)
    if streams < options.streams:
        print(f"only {files} files may be open here, so W4 has {streams} streams")
    plan = Plan(
        repeats=1 if options.quick else options.repeats,
        seconds=2.0 if options.quick else options.seconds,
        streams=streams,
        stream_seconds=4 if options.quick else 8,
        journal=options.journal,
        busy_poll=options.busy_poll,
        only=only,
    )
    print(f"{description()}; W4 with {streams} streams; best of {plan.repeats}", flush=True)
    measured, names = asyncio.run(run(plan, files))
    judged = [name for name in names if name != "nginx"]
    print(figures.table(measured, names, to="nginx", judged=judged))
    if options.json:
        options.json.write_text(json.dumps(figures.as_json(measured, to="nginx"), indent=2) + "\n")
    missed = [row for row in figures.as_json(measured, to="nginx") if row["verdict"] == "MISSED"]
    sys.exit(1 if options.strict and any(row["target"] != "nginx" for row in missed) else 0)


if __name__ == "__main__":
    main()
