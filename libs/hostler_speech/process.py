"""One transcription server as a process: reads a launch file, loads its engine, serves until SIGTERM.

`python -m hostler_speech LAUNCH.json`, with the key that requests must bring in HOSTLER_REPLICA_API_KEY. It listens at once and
says 503 while the model is loaded, and ends at once on SIGTERM: whoever sends that has let the requests finish.
"""

import asyncio
import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import NotRequired, TypedDict

from hostler_speech.engine import ENGINES, EngineSettings
from hostler_speech.server import ServerSettings, SpeechServer, listening

KEY_VARIABLE = "HOSTLER_REPLICA_API_KEY"
EXIT_CANNOT_SERVE = 3


class LaunchFile(TypedDict):
    """What the process is told; `EngineSettings` and `ServerSettings` say what each means."""

    model_path: str
    served_name: str
    host: str
    port: int
    engine: str
    threads: int
    workers: int
    beam_size: int
    compute_type: str
    model: NotRequired[str]
    device: NotRequired[str]
    queue_length_max: int
    audio_bytes_max: int
    audio_seconds_max: int


def main(launch_path: str) -> int:
    """Serve until SIGTERM; otherwise give back an exit code after one line that says what is wrong."""
    launch: LaunchFile = json.loads(Path(launch_path).read_text(encoding="utf-8"))
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        return _refuse(f"{KEY_VARIABLE} is not set")
    if launch["engine"] not in ENGINES:
        return _refuse(f"there is no engine {launch['engine']!r}; there is: {', '.join(ENGINES)}")
    return asyncio.run(_serve(launch, key))


async def _serve(launch: LaunchFile, key: str) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _end)
    server = SpeechServer(
        ServerSettings(
            served_name=launch["served_name"],
            key=key,
            workers=launch["workers"],
            queue_length_max=launch["queue_length_max"],
            audio_bytes_max=launch["audio_bytes_max"],
            audio_seconds_max=float(launch["audio_seconds_max"]),
        )
    )
    host, port = launch["host"], launch["port"]
    try:
        runner = await listening(server.app(), host=host, port=port)
    except OSError as error:
        return _refuse(f"port {port} is taken" if error.errno == errno.EADDRINUSE else str(error))
    try:
        engine = await asyncio.to_thread(ENGINES[launch["engine"]], _engine_settings(launch))
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        return _refuse(f"{Path(launch['model_path']).name} can't be loaded: {error}")
    server.ready(engine)
    _say(f"serving {launch['served_name']} on http://{host}:{port}")
    await asyncio.Event().wait()
    await runner.cleanup()
    return 0


def _engine_settings(launch: LaunchFile) -> EngineSettings:
    return EngineSettings(
        model_path=Path(launch["model_path"]),
        threads=launch["threads"],
        workers=launch["workers"],
        beam_size=launch["beam_size"],
        compute_type=launch["compute_type"],
        model=launch.get("model", ""),
        device=launch.get("device", "cpu"),
    )


def _end() -> None:
    _say("ending on a signal")
    # Threads of the library may be at work for minutes; the kernel frees what they hold.
    os._exit(0)


def _refuse(message: str) -> int:
    _say(message)
    return EXIT_CANNOT_SERVE


def _say(message: str) -> None:
    """Write a line to the log of the process."""
    sys.stdout.write(f"hostler: {message}\n")
    sys.stdout.flush()
