"""Real replicas: the shipped model in real processes, started, found again, lost and stopped."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import aiohttp
import psutil
import pytest

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_provisioner.backend import LogPart, Step
from hostler_provisioner.local import replica
from tests.integration.provisioner_local.local_site import KEY, MODEL, launch, step_of

pytestmark = pytest.mark.integration


async def ask(url: str, key: str) -> tuple[int, dict]:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        ) as response,
    ):
        return response.status, await response.json()


async def test_a_replica_starts_serves_is_adopted_and_its_death_is_seen(site):
    first = site.backend()
    (facts,) = await first.nodes()
    assert MODEL in (facts.models_by_runtime["llamacpp"] or ())
    assert facts.models_by_runtime["simulated"] is None
    await first.start(launch())
    await first.start(launch())

    ready, way = await step_of(first, "r-1", Step.READY, Step.GONE)
    # Steps may be too short to be seen; their order may not be another.
    assert way == [step for step in Step if step in way]
    assert (ready.step, ready.job_id, ready.detail) == (Step.READY, "job-1", "serving")

    status, answer = await ask(ready.endpoint_url, KEY)
    assert (status, answer["object"], answer["usage"]["completion_tokens"]) == (200, "chat.completion", 2)
    assert (await ask(ready.endpoint_url, "another-key"))[0] == 401

    (pid,) = site.pids()
    assert KEY not in " ".join(psutil.Process(pid).cmdline())
    assert psutil.Process(pid).environ()["HOSTLER_INSTANCE"] == "test"
    files = [path for path in site.data_dir.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY in path.read_text()]

    await first.close()
    second = site.backend()
    (adopted,) = await second.observe()
    assert (adopted.step, adopted.endpoint_url) == (Step.READY, ready.endpoint_url)
    await second.start(launch())
    assert site.pids() == [pid]

    os.kill(pid, signal.SIGKILL)
    gone, _ = await step_of(second, "r-1", Step.GONE)
    assert (gone.detail, gone.exit_code) == ("the process was ended by signal 9", -9)
    written = await second.log("r-1", tail_lines=5, after=None)
    assert "serving chat" in written.text
    assert written.ended

    await second.stop("r-1", 1)
    await second.stop("r-1", 1)
    assert await second.observe() == ()
    assert await second.log("r-1", tail_lines=5, after=None) == written
    assert await second.log("r-1", tail_lines=5, after=written.next) == LogPart("", written.next, ended=True)
    assert await second.log("r-2", tail_lines=5, after=None) is None
    assert list((site.data_dir / "replicas").iterdir()) == []


KILLED_PROVISIONER = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from tests.integration.provisioner_local.local_site import Site, launch, step_of
from hostler_provisioner.backend import Step

async def main():
    backend = Site(Path({data_dir!r})).backend()
    await backend.start(launch())
    if {until!r}:
        await step_of(backend, "r-1", Step({until!r}), Step.READY)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("until", ["", "booting", "loading"])
async def test_a_provisioner_killed_while_a_replica_starts_leaves_one_that_the_next_brings_up(site, until):
    script = KILLED_PROVISIONER.format(path=sys.path, data_dir=str(site.data_dir), until=until)
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], stdout=subprocess.DEVNULL, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    spawned = site.pids()
    assert len(spawned) == (0 if not until else 1)

    backend = site.backend()
    ready, _ = await step_of(backend, "r-1", Step.READY, Step.GONE)

    assert ready.step is Step.READY
    assert len(site.pids()) == 1
    assert site.pids() == spawned or not spawned
    await backend.stop("r-1", 5)
    assert site.pids() == []


async def test_a_process_whose_pid_was_never_recorded_is_adopted_and_not_doubled(site):
    first = site.backend()
    await first.start(launch())
    await step_of(first, "r-1", Step.READY)
    pids = site.pids()
    await first.close()
    path = site.data_dir / "replicas" / "r-1" / "replica.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"pid": None, "create_time": None, "step": "importing"})
    )

    second = site.backend()
    ready, _ = await step_of(second, "r-1", Step.READY, Step.GONE)

    assert ready.step is Step.READY
    assert site.pids() == pids
    await second.stop("r-1", 5)
    assert site.pids() == []


async def test_a_replica_that_hangs_is_unhealthy_until_it_answers_and_ends_by_force(site):
    site.settings = {"probe_period_seconds": 0.05, "probe_timeout_seconds": 0.2}
    backend = site.backend()
    await backend.start(launch())
    await step_of(backend, "r-1", Step.READY)
    (pid,) = site.pids()

    os.kill(pid, signal.SIGSTOP)
    await step_of(backend, "r-1", Step.UNHEALTHY)
    os.kill(pid, signal.SIGCONT)
    await step_of(backend, "r-1", Step.READY)
    os.kill(pid, signal.SIGSTOP)
    await backend.stop("r-1", 0.1)

    assert site.pids() == []


async def test_a_file_that_is_no_model_is_gone_with_one_clear_line(site, tmp_path):
    text, broken = tmp_path / "text.gguf", tmp_path / "broken.gguf"
    text.write_text("this is text")
    broken.write_bytes(b"GGUF" + bytes(100))
    site.settings = {"model_paths": {"me/text": text, "me/broken": broken, "me/none": tmp_path / "none"}}
    backend = site.backend()
    for name in ("text", "broken", "none"):
        await backend.start(launch(name, model=f"me/{name}"))

    details = {name: (await step_of(backend, name, Step.GONE))[0] for name in ("text", "broken", "none")}

    assert details["text"].detail == "text.gguf is not a GGUF model file"
    assert details["broken"].detail.startswith("broken.gguf can't be loaded")
    assert details["none"].detail == "the weights file none is not there"
    assert [details[name].exit_code for name in ("text", "broken", "none")] == [3, 3, None]
    for name in details:
        await backend.stop(name, 1)


async def test_a_replica_whose_port_was_taken_meanwhile_is_gone_and_says_so(site, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(replica, "_free_port", lambda address, taken: port)
        backend = site.backend()
        await backend.start(launch())

        gone, _ = await step_of(backend, "r-1", Step.GONE)

    assert gone.detail == f"port {port} is taken"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "meta-llama/Llama-3.1-8B"}, "meta-llama/Llama-3.1-8B"),
        ({"runtime": "vllm"}, "vllm"),
        ({"args": (("gpu_memory", "1"),)}, "gpu_memory"),
        ({"env": (("LD_PRELOAD", "x.so"),)}, "LD_PRELOAD"),
        ({"served_name": "a\nb"}, "served name"),
        ({"replica_id": "../r"}, "replica id"),
        ({"api_key": ""}, "key"),
    ],
    ids=["model", "runtime", "argument", "variable", "served-name", "replica-id", "key"],
)
async def test_a_launch_that_can_never_work_is_refused_by_name_and_leaves_nothing(site, changes, named):
    backend = site.backend()
    with pytest.raises(PermanentError, match=named):
        await backend.start(launch(**changes))

    assert await backend.observe() == ()


async def test_a_folder_has_one_provisioner_at_a_time(site):
    first, second = site.backend(), site.backend()
    await first.observe()
    with pytest.raises(TemporaryError, match="another provisioner"):
        await second.observe()

    await first.close()

    assert await second.observe() == ()
