"""Brings the stack of compose.yaml up for real, uses it, breaks it, and takes it down: `make compose-test`.

It needs a Docker engine with Compose and says so where none answers. It runs as a project of its own on free ports, beside
whatever else runs, and leaves nothing but the image. `--no-build` takes the image that is there. Each step is printed with
the time; the first that fails ends it with status 1, after the containers' last words.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

PROJECT = f"hostler-test-{os.getpid()}"
SERVICES = ("nats", "valkey", "api", "scheduler", "provisioner", "router", "autoscaler")
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
START_SECONDS = 300.0
# All but the first process and itself; the first one ends with the second, and then the engine's restart policy applies.
KILL = ("python", "-c", "import os, signal; os.kill(-1, signal.SIGKILL)")
BEGUN = time.monotonic()


class Failed(Exception):
    """A step did not do what it should."""


def main() -> int:
    """Run all steps."""
    options = argparse.ArgumentParser(description="Try compose.yaml for real.")
    options.add_argument("--no-build", action="store_true", help="take the image that is there")
    wishes = options.parse_args()
    if not engine_answers():
        return 1
    try:
        run_steps(build=not wishes.no_build)
    except (Failed, subprocess.TimeoutExpired) as error:
        say(f"FAILED: {error}")
        print(compose("logs", "--tail", "20", check=False), file=sys.stderr)
        return 1
    finally:
        compose("down", "--volumes", "--timeout", "40", check=False)
    left = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    left += docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    say(f"down; containers and volumes left: {len(left.split())}")
    return 1 if left else 0


def engine_answers() -> bool:
    """Whether there is anything to try it with."""
    for argv in (("info", "--format", "{{.ServerVersion}}"), ("compose", "version", "--short")):
        try:
            answer = docker(*argv)
        except (Failed, FileNotFoundError, subprocess.TimeoutExpired) as error:
            print(
                f"compose-test needs a Docker engine with Compose, and none answers: {error}", file=sys.stderr
            )
            return False
        say(f"docker {argv[0]}: {answer}")
    return True


def run_steps(*, build: bool) -> None:
    """From nothing to a stack that was used, killed, scaled and used again."""
    ports = free_port_pair()
    os.environ |= {"HOSTLER_API_PORT": "0", "HOSTLER_ROUTER_PORTS": f"{ports[0]}-{ports[1]}"}
    if build:
        compose("build", "--quiet", timeout_seconds=1800)
    for image in sorted(set(compose("config", "--images").split())):
        size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
        say(f"image {image}: {size / 1e6:.0f} MB")
    bring_up()
    say(f"up, all healthy: {healths()}")
    look_at_confinement()
    hostler("deploy", MODEL, "--name", "demo", "--arg", "threads=1", "--wait")
    say("deployed the small model; it is Running")
    say(f"chat through the router: {chat(ports[0])}")
    for service in ("scheduler", "provisioner"):
        kill(service)
    wait_until(lambda: job_phase() == "Running" and answers(ports[0]), "the job to serve again")
    say(f"chat after the kills: {chat(ports[0])}")
    bring_up("--scale", "router=2", "--no-recreate")
    say(f"two routers answer: {chat(ports[0])} | {chat(ports[1])}")
    hostler("jobs", "delete", "demo", "--wait")
    say(f"job deleted; all healthy: {healths()}")


def bring_up(*arguments: str) -> None:
    """Up, and wait until everything is healthy."""
    compose("up", "--detach", "--wait", "--no-build", *arguments, timeout_seconds=START_SECONDS)


def look_at_confinement() -> None:
    """See from the inside that a container is the user it should be and can write nowhere but in its volume."""
    for service in SERVICES:
        told = inside(
            service,
            "sh",
            "-c",
            "id -u; grep CapEff /proc/self/status; touch /etc/x /usr/x 2>/dev/null && echo writes; ls /var/lib/hostler",
        )
        user, capabilities, *files = told.split("\n")
        if user != "10001" or int(capabilities.split()[1], 16) or "writes" in files:
            raise Failed(f"{service} is not confined: {told}")
    say("every container: user 10001, no capabilities, a file system that it can't write to")


def kill(service: str) -> None:
    """Kill what a container runs, and wait until the engine has started it again."""
    name = compose("ps", "--quiet", service)
    before = int(docker("inspect", "--format", "{{.RestartCount}}", name))
    # The command that kills is killed as well or loses its container, so its status says nothing.
    compose("exec", "-T", service, *KILL, check=False)

    def is_back() -> bool:
        count, health = docker(
            "inspect", "--format", "{{.RestartCount}} {{.State.Health.Status}}", name
        ).split()
        return int(count) > before and health == "healthy"

    wait_until(is_back, f"{service} to be started again")
    say(f"kill -9 of the {service}: started again by the engine, healthy")


def healths() -> str:
    """What `docker compose ps` says of each service."""
    lines = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
    said = {line["Service"]: line["Health"] for line in lines}
    if set(said) != set(SERVICES) or set(said.values()) != {"healthy"}:
        raise Failed(f"not all are healthy: {said}")
    return ", ".join(sorted(said))


def job_phase() -> str:
    """The phase of the one job; empty while the api does not answer."""
    text = compose("exec", "-T", "api", "hostler", "jobs", "get", "demo", "-o", "json", check=False)
    try:
        return str(json.loads(text)["status"]["phase"])
    except (ValueError, KeyError, TypeError):
        return ""


def answers(port: int) -> bool:
    """Whether a question is answered now."""
    try:
        return bool(chat(port))
    except OSError:
        return False


def chat(port: int) -> str:
    """Ask one question from outside, as any OpenAI client would."""
    key = inside("api", "cat", "/var/lib/hostler/admin.key")
    question = {
        "model": "demo",
        "max_tokens": 12,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    request = urllib.request.Request(  # a loopback address
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=json.dumps(question).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:  # as above
        answer = json.load(response)
    return f"{answer['choices'][0]['message']['content']!r} ({answer['usage']['total_tokens']} tokens)"


def free_port_pair() -> tuple[int, int]:
    """Two ports in a row that nobody uses now."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port, port + 1


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {START_SECONDS:.0f} s in vain for {what}")
        time.sleep(1)


def hostler(*arguments: str) -> str:
    """The command line, in the container of the api."""
    return inside("api", "hostler", *arguments)


def inside(service: str, *argv: str) -> str:
    """Run something in a container that runs."""
    return compose("exec", "-T", service, *argv, timeout_seconds=START_SECONDS)


def compose(*arguments: str, check: bool = True, timeout_seconds: float = 120) -> str:
    """Run Compose on this test's own project."""
    return docker(
        "compose", "--project-name", PROJECT, *arguments, check=check, timeout_seconds=timeout_seconds
    )


def docker(*arguments: str, check: bool = True, timeout_seconds: float = 120) -> str:
    """Run docker; give what it printed."""
    done = subprocess.run(
        ("docker", *arguments), capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    if check and done.returncode:
        raise Failed(f"docker {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def say(sentence: str) -> None:
    """Print a step."""
    print(f"{time.monotonic() - BEGUN:6.1f} s  {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
