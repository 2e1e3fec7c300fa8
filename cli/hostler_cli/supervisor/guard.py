"""The guard: a sleeping shell that ends the stack when its supervisor is gone without having done so.

The supervisor holds the write end of a pipe on which the guard waits. A supervisor that ends in order writes a line
first; when it was killed the kernel closes the pipe, and the guard turns itself into the sweep of `leftovers`. Unlike a
parent-death signal this works on macOS, covers nats-server and Valkey too, and costs a start-up of one millisecond; the
shell waits in a megabyte of memory, and Python is loaded only when it is needed.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Final

from hostler_cli.supervisor.layout import INSTANCE_VARIABLE

_SCRIPT: Final = """\
trap '' HUP INT TERM
if read -r _; then exit 0; fi
exec "$1" -P -m hostler_cli.supervisor.leftovers "$2"
"""


class Guard:
    """Keeps one guard process waiting as long as `run` is awaited; a guard that was killed gets a successor."""

    def __init__(self, instance: str, environ: Mapping[str, str]) -> None:
        self._instance = instance
        # Without the instance id, so that no sweep takes the guard itself for a stray.
        self._environ = {name: value for name, value in environ.items() if name != INSTANCE_VARIABLE}

    async def run(self, dismissed: asyncio.Event) -> None:
        """Keep a guard until dismissed, then send it away in peace."""
        while not dismissed.is_set():
            read_end, write_end = os.pipe()
            try:
                process = await asyncio.create_subprocess_exec(
                    "/bin/sh",
                    "-c",
                    _SCRIPT,
                    "hostler-guard",
                    sys.executable,
                    self._instance,
                    stdin=read_end,
                    env=self._environ,
                    start_new_session=True,
                )
            finally:
                os.close(read_end)
            waits = {asyncio.create_task(process.wait()), asyncio.create_task(dismissed.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if process.returncode is None:
                    os.write(write_end, b"done\n")
            finally:
                os.close(write_end)
                for task in waits:
                    task.cancel()
            await process.wait()
