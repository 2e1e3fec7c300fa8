"""`make demo`: the whole way from nothing to a first answer, and how to go on from there.

It starts the stack unless it runs, deploys the small model unless it is there, waits, asks one question through the stock
OpenAI client, shows what happened to the job, and leaves everything running. `--stop` stops the stack. Each step looks first
at what is there, so it can be run again at any time.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.options import API_PORT, ROUTER_PORT
from hostler_cli.supervisor.ports import is_free
from hostler_cli.supervisor.state_file import StackState, is_alive, read_state

if TYPE_CHECKING:
    # The clients are loaded while the stack starts, see `_load_clients`.
    from hostler_client import Connection, HostlerClient, Job

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
NAME: Final = "demo"
QUESTION: Final = "What is the capital of France?"
PORTS_TRIED: Final = 100
START_TIMEOUT_SECONDS: Final = 120.0
READY_TIMEOUT_SECONDS: Final = 300.0


def main() -> int:
    """Run the demo, or stop what it left running."""
    parser = argparse.ArgumentParser(
        description="Start the stack, deploy the small model, ask it one question."
    )
    parser.add_argument("--stop", action="store_true", help="stop the stack")
    stop: bool = parser.parse_args().stop
    started_at = float(os.environ.get("DEMO_STARTED_AT") or time.time())
    data_dir = Path(os.environ.get("HOSTLER_DATA_DIR") or ROOT / ".hostler").expanduser().resolve()
    if stop:
        return subprocess.run(_hostler("down", "--data-dir", str(data_dir)), check=False).returncode
    try:
        code = _start_stack(data_dir)
        return code or _show(data_dir, started_at)
    except KeyboardInterrupt:
        print("\ninterrupted; `make demo STOP=1` stops what runs", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _start_stack(data_dir: Path) -> int:
    """Make sure that the stack runs; 0 when it does. The slow imports happen while it starts."""
    state = _running(data_dir)
    if state is not None:
        _step(f"the stack runs already: {state.api_url} and {state.router_url}/v1")
        _load_clients()
        return _await_ready(data_dir)
    api_port = _port("API_PORT", API_PORT, avoid=None)
    router_port = _port("ROUTER_PORT", ROUTER_PORT, avoid=api_port)
    _step(f"starting NATS, Valkey and the five services (data in {data_dir})")
    up = subprocess.Popen(
        _hostler(
            *("up", "--detach", "--data-dir", str(data_dir)),
            *("--api-port", str(api_port), "--router-port", str(router_port)),
        )
    )
    _load_clients()
    return up.wait()


def _running(data_dir: Path) -> StackState | None:
    state = read_state(DataLayout(data_dir).state_file)
    if state is None or not is_alive(state.supervisor_pid, state.supervisor_create_time):
        return None
    return state


def _await_ready(data_dir: Path) -> int:
    """A stack that somebody else is just starting: 0 once it is ready."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        state = _running(data_dir)
        if state is not None and state.ready:
            return 0
        time.sleep(0.1)
    print(
        "error: the stack does not become ready; `hostler status` and `hostler doctor` tell why",
        file=sys.stderr,
    )
    return ExitCode.TIMEOUT


def _port(variable: str, default: int, *, avoid: int | None) -> int:
    """The port that was asked for, else the default or the first free one behind it."""
    if wanted := os.environ.get(variable):
        return int(wanted)
    for port in range(default, default + PORTS_TRIED):
        if port != avoid and is_free(port):
            if port != default:
                _step(f"port {default} is taken, so {port} is used ({variable}=... chooses another)")
            return port
    return default  # `hostler up` says who holds it


def _load_clients() -> None:
    """Load what takes long, so that it is there when it is needed."""
    import openai  # noqa: F401 - most of it
    from openai.types import chat  # noqa: F401 - loaded at the first question otherwise

    import hostler_cli.chat
    import hostler_cli.waits  # noqa: F401 - brings hostler_client


def _show(data_dir: Path, started_at: float) -> int:
    from hostler_cli.context import Flags, find
    from hostler_cli.failures import CliError, explain
    from hostler_client import ClientError, HostlerClient, Until

    try:
        connection = find(Flags(data_dir=data_dir))
        with HostlerClient.to(connection) as client:
            job = _deploy(client)
            if job.status.ready_replicas < 1:
                from hostler_cli.waits import wait_for

                job = wait_for(connection, job, Until.READY, READY_TIMEOUT_SECONDS)
            code = _ask(connection, job, started_at)
            _print_history(client, job)
    except (CliError, ClientError) as error:
        failure = explain(error)
        for line in failure.lines if failure else ():
            print(line, file=sys.stderr)
        return failure.code if failure else ExitCode.FAILURE
    _print_how_to_go_on(data_dir, connection)
    return code


def _deploy(client: "HostlerClient") -> "Job":
    """The job of the demo: the one that lives, else a new one."""
    from hostler_client import NewJob, NotFound, Until
    from hostler_domain.phases import JobPhase

    try:
        job = client.jobs.get(NAME)
    except NotFound:
        pass
    else:
        if job.phase not in (JobPhase.FAILED, JobPhase.DELETING, JobPhase.STOPPED, JobPhase.DELETED):
            _step(f"job {job.name} is there already ({job.phase})")
            return job
        _step(f"an earlier job {job.name} is {job.phase}: it goes first")
        client.jobs.delete(job.job_id)
        client.jobs.wait(job.job_id, until=Until.DELETED, timeout_seconds=READY_TIMEOUT_SECONDS)
    _step(f"deploying {MODEL}")
    return client.jobs.create(NewJob(model=MODEL, name=NAME))


def _ask(connection: "Connection", job: "Job", started_at: float) -> int:
    import openai

    from hostler_cli.chat import SYSTEM_PROMPT, Conversation, openai_client, usage_text

    conversation = Conversation(
        openai_client(connection, timeout_seconds=READY_TIMEOUT_SECONDS),
        model=job.name,
        system=SYSTEM_PROMPT,
        tokens=64,
        temperature=0.0,
    )
    _step(f"asking: {QUESTION}")
    first_token_seconds: float | None = None
    try:
        for piece in conversation.ask(QUESTION):
            if first_token_seconds is None:
                first_token_seconds = time.time() - started_at
            print(piece, end="", flush=True)
    except openai.APIError as error:
        print(f"\nerror: the question was not answered: {error.message}", file=sys.stderr)
        return ExitCode.FAILURE
    print("\n")
    if conversation.usage is None or first_token_seconds is None:
        print("error: the answer was empty, or came without its usage", file=sys.stderr)
        return ExitCode.FAILURE
    print(f"usage: {usage_text(conversation.usage)}")
    print(f"first token {first_token_seconds:.1f} s after the start")
    return ExitCode.OK


def _print_history(client: "HostlerClient", job: "Job") -> None:
    from hostler_cli.job_text import EVENT_HEADINGS, event_row
    from hostler_cli.output import print_columns

    print("\nwhat happened to the job:")
    print_columns(EVENT_HEADINGS, (event_row(event) for event in client.jobs.events(job.job_id)))


def _print_how_to_go_on(data_dir: Path, connection: "Connection") -> None:
    hostler = _shown(Path(sys.executable).parent / "hostler")
    default = data_dir == Path.cwd() / ".hostler"
    option = "" if default else f" --data-dir {_shown(data_dir)}"
    print(
        f"""
how to go on:
  {hostler} chat {NAME}{option}
  {hostler} jobs events -f {NAME}{option}
  {hostler} status{option}
  curl {connection.router_url}/v1/chat/completions \\
    -H "Authorization: Bearer $(cat {_shown(data_dir / "admin.key")})" -H "Content-Type: application/json" \\
    -d '{{"model": "{NAME}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
  make demo STOP=1    # stops everything; the next start finds the job again"""
    )


def _hostler(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hostler_cli", *arguments]


def _step(text: str) -> None:
    print(f"==> {text}", flush=True)


def _shown(path: Path) -> str:
    """A path as people type it: relative where it lies below the present folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
