"""A router process holds in memory what it uses: asked of a real interpreter."""

import subprocess
import sys

import pytest

from hostler_router.spare_modules import spare_modules

PROGRAM = """
import sys
import hostler_router.__main__
from hostler_router.spare_modules import go_without
go_without(sys.argv[1:])
import hostler_bus.connection, hostler_kit.logs, hostler_kit.service, hostler_kit.valkey, hostler_router.service, hostler_router.tracing
hostler_kit.logs.configure_logs(service="router", level="info", form="console").exception("the log works")
print(*[name for name in sys.argv[1:] if sys.modules.get(name)])
"""


@pytest.mark.parametrize(
    ("nats_url", "traces", "terminal", "spare"),
    [
        ("nats://h:4222", False, False, ["aiohttp", "opentelemetry.sdk.metrics", "rich"]),
        ("wss://h:443", False, False, ["opentelemetry.sdk.metrics", "rich"]),
        ("tls://h:4222", True, False, ["aiohttp", "rich"]),
        ("nats://h:4222", False, True, ["aiohttp", "opentelemetry.sdk.metrics"]),
    ],
)
def test_what_is_used_stays(nats_url: str, traces: bool, terminal: bool, spare: list[str]) -> None:
    assert spare_modules(nats_url=nats_url, traces=traces, terminal=terminal) == spare


def test_a_router_is_there_without_what_it_does_not_use() -> None:
    spare = spare_modules(nats_url="nats://h:4222", traces=False, terminal=False)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *spare],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "", "imported before they were left out, or all the same"
    assert "the log works" in done.stdout
