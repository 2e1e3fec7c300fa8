"""Valkey with the configuration that Hostler writes, from the wheel or from the image (HOSTLER_TEST_SERVERS)."""

from collections.abc import Iterator

import pytest
import redis

from tests.support.valkey_server import ValkeyServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.remove()


def test_who_has_no_password_learns_nothing(server: ValkeyServer) -> None:
    for wrong in (None, "not-this"):
        with server.client(wrong) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("key")


def test_it_runs_as_it_was_configured(server: ValkeyServer) -> None:
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(256 * 2**20),
        "maxmemory-policy": "volatile-lru",
        "save": "",
    }
    with server.client() as client:
        assert wanted == client.config_get(*wanted)


def test_what_was_written_survives_a_kill(server: ValkeyServer) -> None:
    with server.client() as client:
        client.set("kept", "1")
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("kept") == "1"
