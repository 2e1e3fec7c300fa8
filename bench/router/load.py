"""Runs wrk and our own callers against a port, pinned alike for every target, and gives what they counted."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.router.machine import LOAD_CORES, pinned

_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "errors": %d, "p50_us": %d, "p99_us": %d, "seconds": %f}\\n', summary.requests,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), summary.duration / 1e6))
end
"""


@dataclass(frozen=True, slots=True)
class Requests:
    """What wrk counted; latencies as it saw them."""

    requests: int
    errors: int
    p50_us: float
    p99_us: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Streams:
    """What the callers of streams counted."""

    streams: int
    broken: int
    first_p50_us: float
    first_p99_us: float


def need_wrk() -> str:
    """Where wrk is, or the end with how to get it."""
    return shutil.which("wrk") or sys.exit("wrk is missing: apt-get install wrk")


def requests(port: int, key: str, body: bytes, *, connections: int, seconds: float) -> Requests:
    """Send the body again and again; the script is read once, nothing of it runs per request."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as folder:
        script = Path(folder) / "post.lua"
        script.touch(mode=0o600)
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = [==[{body.decode()}]==]\n'
            f'wrk.headers["Authorization"] = "Bearer {key}"\nwrk.headers["Content-Type"] = "application/json"\n{_REPORT}'
        )
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        options = [
            "-t1",
            f"-c{connections}",
            f"-d{max(round(seconds), 1)}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
        ]
        done = subprocess.run(
            pinned(LOAD_CORES, [need_wrk(), *options, url]), capture_output=True, text=True, check=True
        )
    return Requests(**json.loads(done.stdout.splitlines()[-1]))


def head_and_body(key: str, body: bytes) -> str:
    """A request as it goes over the wire."""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body.decode()}"
    )


def streams(
    port: int,
    key: str,
    body: bytes,
    *,
    connections: int,
    seconds: float,
    meanwhile: Callable[[], None] | None = None,
) -> Streams:
    """Streams again and again; with `meanwhile`, one long one for each connection, and that is called once all have begun."""
    plan = {
        "port": port,
        "request": head_and_body(key, body),
        "connections": connections,
        "seconds": seconds,
        "hold": meanwhile is not None,
    }
    command = pinned(LOAD_CORES, [sys.executable, "-m", "bench.router.caller"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(plan) + "\n")
        process.stdin.flush()
        if meanwhile is not None:
            begun = json.loads(process.stdout.readline())["begun"]
            if begun < connections:
                process.kill()
                sys.exit(f"only {begun} of {connections} streams began")
            meanwhile()
        counted = json.loads(process.stdout.read().splitlines()[-1])
    return Streams(**counted)
