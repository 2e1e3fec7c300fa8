"""One stack for the tests of single faults, and one Valkey each. A storm brings up its own stack."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.state_file import read_state
from tests.e2e.conftest import Stack
from tests.faults.facts import Notebook, Request, read_facts
from tests.faults.hands import Addresses, Hands, body_of
from tests.faults.stream import StreamReader
from tests.support.valkey_server import ValkeyServer

_START_SECONDS = 60.0


@dataclass
class Site:
    """A stack, and a notebook for one test."""

    stack: Stack
    layout: DataLayout
    addresses: Addresses
    reader: StreamReader
    path: Path
    notebook: Notebook

    def requests(self) -> list[Request]:
        return read_facts(self.path, Request)

    def serving_job(self, hands: Hands, name: str) -> str:
        """A job with one replica, once it answers."""
        mark = hands.new_mark()
        job_id = hands.create(body_of(mark, name=name, replicas=1), mark).job_id
        assert job_id is not None
        deadline = time.monotonic() + _START_SECONDS
        while not hands.chat(job_id, stream=False).acknowledged:
            assert time.monotonic() < deadline, "the job does not answer"
            time.sleep(0.1)
        return job_id


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up()
    yield stack
    stack.down()


@pytest.fixture
def site(running_stack: Stack, tmp_path: Path) -> Iterator[Site]:
    layout = DataLayout(running_stack.data_dir)
    state = read_state(layout.state_file)
    assert state is not None
    path = tmp_path / "requests.jsonl"
    site = Site(
        running_stack,
        layout,
        Addresses(state.api_url, state.router_url, running_stack.key),
        StreamReader(state.nats_url, layout.nats_password_file),
        path,
        Notebook(path),
    )
    yield site
    site.notebook.close()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.thaw()
    server.remove()
