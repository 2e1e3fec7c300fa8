"""What three servers from the shipped configuration keep when one of them is killed: only real ones can show it."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostler_bus.errors import BusUnavailable
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.topology import TOPOLOGY
from hostler_cli.supervisor.cluster_secrets import secret_files
from hostler_contracts import subjects
from tests.support.eventually import eventually
from tests.support.manifests import folder, one, overlay
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.nats_server import binary

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REPLICATED = replace(TOPOLOGY, replicas=3)
WRITERS = 4
WRITES_EACH = 60


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with nats_cluster(tmp_path) as running:
        yield running


@pytest.fixture
async def api(cluster: NatsCluster) -> AsyncIterator[NatsBus]:
    """The one that declares, with the permissions that are shipped."""
    bus = await as_service(cluster, "api")
    yield bus
    await bus.drain()


async def as_service(cluster: NatsCluster, service: str) -> NatsBus:
    return await connect(
        cluster.url,
        user=service,
        password=cluster.password(service),
        name=f"{service}-0",
        connect_timeout_seconds=120,
        declare=service == "api",
        topology=REPLICATED,
    )


async def test_every_stream_and_bucket_is_kept_by_three_servers(cluster: NatsCluster, api: NatsBus):
    operator = await as_service(cluster, "operator")
    client = await operator.link.client(10)
    infos = {each.config.name: each for each in await client.jetstream(timeout=20).streams_info()}
    assert set(infos) == {each.name for each in REPLICATED.all_streams}
    assert {each.config.num_replicas for each in infos.values()} == {3}
    await operator.drain()


async def test_the_other_services_find_what_the_api_declared(cluster: NatsCluster, api: NatsBus):
    await api.append(_subject(0), b"{}", msg_id="one")
    for service in ("scheduler", "provisioner", "router", "autoscaler"):
        bus = await as_service(cluster, service)
        found = await bus.last(subjects.JOBS, _subject(0))
        assert found is not None
        await bus.drain()


async def test_what_was_acknowledged_is_read_at_once_though_a_server_lags(api: NatsBus):
    """A server that follows may be a moment behind; a service that read there would decide upon the past."""
    for number in range(300):
        written = await api.append(_subject(0), b"%d" % number, msg_id=f"id-{number}")
        found = await api.last(subjects.JOBS, _subject(0))
        assert found is not None
        assert (found.seq, found.data) == (written.seq, b"%d" % number)


async def test_nothing_acknowledged_is_lost_when_the_leader_of_the_log_is_killed(
    cluster: NatsCluster, api: NatsBus
):
    acknowledged: dict[str, int] = {}
    killed_after: list[int] = []

    async def write(writer: int) -> None:
        for number in range(WRITES_EACH):
            msg_id = f"{writer}-{number}"
            await _until_stored(api, writer, msg_id, acknowledged)

    async def kill() -> None:
        await eventually(lambda: len(acknowledged) > WRITERS * WRITES_EACH // 4, timeout_seconds=120)
        leader = await asyncio.to_thread(cluster.leader_of, subjects.JOBS)
        assert leader is not None
        cluster.kill(leader)
        killed_after.append(len(acknowledged))
        await eventually(lambda: len(acknowledged) > WRITERS * WRITES_EACH // 2, timeout_seconds=120)
        cluster.children[leader].start()
        await asyncio.to_thread(cluster.until_ready, leader)

    await asyncio.gather(kill(), *(write(writer) for writer in range(WRITERS)))
    stored = [each async for each in api.history(subjects.JOBS, subjects.JOBS_SUBJECTS)]
    by_seq = {each.seq: each.data.decode() for each in stored}
    assert len(acknowledged) == WRITERS * WRITES_EACH
    assert killed_after[0] < WRITERS * WRITES_EACH
    assert {msg_id: by_seq.get(seq) for msg_id, seq in acknowledged.items()} == {
        msg_id: msg_id for msg_id in acknowledged
    }
    assert len(stored) == len(acknowledged)


async def test_two_servers_go_on_and_one_alone_refuses(cluster: NatsCluster, api: NatsBus):
    """One of three can't know whether the others go on without it, so it acknowledges nothing."""
    cluster.kill(0)
    acknowledged: dict[str, int] = {}
    await _until_stored(api, 0, "with two", acknowledged)
    cluster.kill(1)
    with pytest.raises(BusUnavailable):
        await api.append(_subject(0), b"alone", msg_id="alone", deadline_seconds=8)
    cluster.children[0].start()
    await asyncio.to_thread(cluster.until_ready, 0, 2)
    await _until_stored(api, 0, "with two again", acknowledged)
    found = await api.last(subjects.JOBS, _subject(0))
    assert found is not None
    assert found.data == b"with two again"


def test_a_small_installation_has_a_server_of_its_own(tmp_path: Path, cluster_secrets: dict[str, str]):
    config = one(overlay("small"), "ConfigMap", "hostler-nats")["data"]
    assert _checked(tmp_path, config, {"users.conf": cluster_secrets["users.conf"]}) == (0, "")


def test_a_server_does_not_start_without_its_secret(tmp_path: Path):
    config = one(folder("base"), "ConfigMap", "hostler-nats")["data"]
    status, said = _checked(tmp_path, config, {})
    assert status != 0
    assert "error parsing include file" in said


@pytest.fixture
def cluster_secrets() -> dict[str, str]:
    return secret_files("hostler", 3)["nats"]


def _subject(writer: int) -> str:
    return subjects.job_event("p", f"job{writer}", "job.created")


async def _until_stored(bus: NatsBus, writer: int, msg_id: str, acknowledged: dict[str, int]) -> None:
    """As a caller does: no answer means that nobody knows, so the same again."""
    while True:
        try:
            stored = await bus.append(_subject(writer), msg_id.encode(), msg_id=msg_id, deadline_seconds=60)
        except BusUnavailable:
            continue
        acknowledged[msg_id] = stored.seq
        return


def _checked(home: Path, config: dict[str, str], secrets: dict[str, str]) -> tuple[int, str]:
    """What nats-server says of files where pods have them."""
    for part, texts in (("config", config), ("secrets", secrets)):
        (home / part).mkdir()
        for name, text in texts.items():
            (home / part / name).write_text(text)
    done = subprocess.run(
        [binary(), "-t", "-c", home / "config/nats.conf"],
        env={**os.environ, "SERVER_NAME": "hostler-nats-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, "" if done.returncode == 0 else done.stderr
