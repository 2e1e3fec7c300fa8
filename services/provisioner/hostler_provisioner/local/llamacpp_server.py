"""The process of one `llamacpp` replica: llama.cpp's own HTTP server, in this interpreter.

The local backend starts it as `python -I llamacpp_server.py LAUNCH.json`, with the replica's key in the environment. It
imports only the standard library and xllamacpp, because what it imports is what a user waits for before the first token.
It binds one port, on the loopback address unless the installation says otherwise, answers /health with 503 until the weights are in, and ends at once on SIGTERM: whoever sends
that has already let the requests finish.
"""

import errno
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import xllamacpp

KEY_VARIABLE = "HOSTLER_REPLICA_API_KEY"
EXIT_CANNOT_SERVE = 3


class LaunchFile(TypedDict):
    """What the backend tells this process; `ServerParameters` says what each parameter means."""

    model_path: str
    served_name: str
    host: str
    port: int
    n_ctx: int
    n_parallel: int
    threads: int
    n_batch: int
    n_ubatch: int
    cache_ram_mib: int
    embedding: bool
    pooling: str
    warmup: bool


def main(launch_path: str) -> int:
    """Serve until SIGTERM; otherwise give back an exit code after one line that says what is wrong."""
    launch: LaunchFile = json.loads(Path(launch_path).read_text(encoding="utf-8"))
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        return _refuse(f"{KEY_VARIABLE} is not set")
    complaint = _complaint_about(Path(launch["model_path"]))
    if complaint:
        return _refuse(complaint)
    _end_on_sigterm()
    _ask_for_load_progress()
    # Late, so that a launch that cannot work is refused without loading a hundred megabytes of library.
    import xllamacpp

    try:
        server = xllamacpp.Server(_parameters(launch, key))
    except RuntimeError as error:
        return _refuse(_why_not_started(launch, error))
    _say(f"serving {launch['served_name']} on {server.listening_address}")
    while True:
        signal.pause()


def _parameters(launch: LaunchFile, key: str) -> "xllamacpp.CommonParams":
    """What the server is told, from the launch file."""
    import xllamacpp

    slots = launch["n_parallel"]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = launch["model_path"]
    parameters.model_alias = {launch["served_name"]}
    parameters.hostnames = [launch["host"]]
    parameters.port = launch["port"]
    parameters.api_keys = [key]
    # llama.cpp divides the context among the slots; n_ctx here is what one request may use.
    parameters.n_ctx = launch["n_ctx"] * slots
    parameters.n_parallel = slots
    parameters.n_batch = launch["n_batch"]
    parameters.n_ubatch = launch["n_ubatch"]
    parameters.cpuparams.n_threads = launch["threads"]
    parameters.cpuparams_batch.n_threads = launch["threads"]
    # Every open connection holds a thread of the server, idle ones too; /health must find one when all slots are busy.
    parameters.n_threads_http = 4 * slots + 32
    # The default keeps up to 8 GiB of old prompts per process.
    parameters.cache_ram_mib = launch["cache_ram_mib"]
    parameters.embedding = launch["embedding"]
    if launch["embedding"]:
        parameters.pooling_type = getattr(
            xllamacpp.llama_pooling_type, "LLAMA_POOLING_TYPE_" + launch["pooling"].upper()
        )
    # Fitting the parameters to the device loads the model's description twice: a third of the start-up time of a small one.
    parameters.fit_params = False
    parameters.warmup = launch["warmup"]
    parameters.use_jinja = True
    parameters.endpoint_metrics = True
    parameters.endpoint_slots = True
    parameters.offline = True
    parameters.ui = False
    # Warnings and worse: a line per request would fill the disk of a replica that lives long.
    parameters.verbosity = 2
    return parameters


def _end_on_sigterm() -> None:
    """End on SIGTERM at any moment, also while the weights are loading.

    llama.cpp installs a handler of its own once it is up and Python's handlers wait for the main thread, which sits in the
    library while it loads. So the signal is blocked in every thread and one thread takes it out of the queue.
    """
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    def end() -> None:
        signal.sigwait(ending)
        _say("ending on a signal")
        # Unwinding the library takes a second and frees what the kernel frees anyway.
        os._exit(0)

    threading.Thread(target=end, name="end-on-signal", daemon=True).start()


def _ask_for_load_progress() -> None:
    """Make the library print how far the weights are, as it does for llama.cpp's own router.

    It then also ends when its standard input does, so it is given one that never ends.
    """
    os.environ["LLAMA_SERVER_ROUTER_PORT"] = "1"
    reading, _never_written = os.pipe()
    os.dup2(reading, 0)


def _complaint_about(model: Path) -> str:
    """Why `model` cannot be a model file; empty when it may be one."""
    try:
        with model.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        return f"the model file can't be read: {error}"
    return "" if magic == b"GGUF" else f"{model.name} is not a GGUF model file"


def _why_not_started(launch: LaunchFile, error: RuntimeError) -> str:
    """The library says only that it failed; a port that is taken can be told apart."""
    with socket.socket() as probe:
        # Connections that this server itself has just closed do not make the port taken; a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((launch["host"], launch["port"]))
        except OSError as taken:
            if taken.errno == errno.EADDRINUSE:
                return f"port {launch['port']} is taken"
    return f"{Path(launch['model_path']).name} can't be loaded with these parameters: {error}"


def _refuse(message: str) -> int:
    _say(message)
    return EXIT_CANNOT_SERVE


def _say(message: str) -> None:
    """Write a line of this process's own among those of the library."""
    sys.stdout.write(f"hostler: {message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # The interpreter's own ending would wait for the library's threads.
    os._exit(main(sys.argv[1]))
