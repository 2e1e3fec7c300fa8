"""What runs inside the VMIs of the fake cluster: for each a simulated server on the machine's own loopback address.

The guest does what cloud-init and the launcher do in a real one: it reads the user data, finds the launch file and takes model name, port
and key from the server's command and environment. The server is the one of the runtime `simulated`, in this process, since fifty
processes would say nothing more about a cluster. A machine without a launch file has nothing that listens, like a workspace.
"""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hostler_provisioner.local.simulated_server import LaunchFile, SimulatedServer
from tests.support.kubernetes.virt_controller import Machine

LAUNCH_PATH = "/etc/hostler/launch.json"
_STOP_SECONDS_MAX = 1.0


@dataclass(slots=True)
class _Running:
    runner: web.AppRunner
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)


def launch_of(user_data: str) -> dict[str, Any] | None:
    """The launch file within user data, as cloud-init would write it; None where there is none."""
    if not user_data:
        return None
    text = base64.b64decode(user_data).decode()
    if not text.startswith("#cloud-config"):
        return None
    document = json.loads(text.partition("\n")[2])
    for each in document.get("write_files", ()):
        if each["path"] == LAUNCH_PATH:
            launch: dict[str, Any] = json.loads(base64.b64decode(each["content"]))
            return launch
    return None


def _argument(argv: Sequence[str], name: str, default: str) -> str:
    for number, each in enumerate(argv):
        if each == name and number + 1 < len(argv):
            return argv[number + 1]
        if each.startswith(f"{name}="):
            return each.partition("=")[2]
    return default


def _key(env: Mapping[str, str]) -> str:
    return next((value for name, value in sorted(env.items()) if name.endswith("_API_KEY")), "none")


class SimulatedGuests:
    """The servers of one fake cluster."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    async def start(self, machine: Machine) -> None:
        launch = launch_of(machine.user_data)
        if launch is None:
            return
        argv, key = launch["argv"], _key(launch["env"])
        settings: LaunchFile = {
            "served_name": _argument(argv, "--served-model-name", (*argv, "", "")[2]),
            "host": machine.ip,
            "port": int(_argument(argv, "--port", "8000")),
            "start_delay_seconds": 0.0,
            "fail_start": 0,
            "first_token_seconds": 0.01,
            "tokens_per_second": 200.0,
            "jitter": 0.0,
            "seed": 1,
            "fail_rate": 0.0,
            "crash_after_requests": 0,
            "hang_after_requests": 0,
            "n_parallel": 32,
            "completion_tokens": 4,
        }
        server = SimulatedServer(settings, key)
        app = server.app()
        runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS_MAX, access_log=None
        )
        running = _Running(runner)
        running.thawed.set()

        async def wait_while_frozen(request: web.Request, response: web.StreamResponse) -> None:
            await running.thawed.wait()

        # Like a machine behind a network that is gone: it takes connections, and no answer comes.
        app.on_response_prepare.append(wait_while_frozen)
        await runner.setup()
        self._running[machine.uid] = running
        await web.TCPSite(runner, machine.ip, settings["port"]).start()
        await server.start()
        running.ready.set()

    async def ready(self, machine: Machine) -> None:
        if running := self._running.get(machine.uid):
            await running.ready.wait()

    async def stop(self, uid: str, *, grace_seconds: float) -> None:
        if running := self._running.pop(uid, None):
            running.thawed.set()
            if not grace_seconds:
                # By force: whoever is being answered sees the connection end.
                for connection in running.runner.server.connections if running.runner.server else ():
                    connection.force_close()
            await running.runner.cleanup()

    def freeze(self, uid: str, *, frozen: bool) -> None:
        if running := self._running.get(uid):
            (running.thawed.clear if frozen else running.thawed.set)()
