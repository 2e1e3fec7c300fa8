"""Where replicas listen, and what routers are told of it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from hostler_provisioner.local.replica import LocalSettings
from hostler_provisioner.settings import ProvisionerSettings


@pytest.mark.parametrize(
    ("bind_address", "host", "told", "probed"),
    [
        pytest.param("127.0.0.1", "", "http://127.0.0.1:7", "http://127.0.0.1:7/health", id="one-machine"),
        pytest.param("10.0.0.5", "", "http://10.0.0.5:7", "http://10.0.0.5:7/health", id="one-address"),
        pytest.param("0.0.0.0", "gpu-1", "http://gpu-1:7", "http://127.0.0.1:7/health", id="all-addresses"),
        pytest.param("10.0.0.5", "gpu-1", "http://gpu-1:7", "http://10.0.0.5:7/health", id="a-name-for-one"),
    ],
)
def test_routers_are_told_the_name_and_the_machine_asks_itself(bind_address, host, told, probed):
    settings = LocalSettings(Path("/data"), bind_address=bind_address, host=host)
    assert (settings.endpoint_url(7), settings.probe_url(7)) == (told, probed)


def test_replicas_are_for_this_machine_unless_told_otherwise():
    assert str(ProvisionerSettings().replica_bind_address) == "127.0.0.1"


def test_all_addresses_need_a_name_that_routers_can_use(monkeypatch):
    monkeypatch.setenv("HOSTLER_PROVISIONER_REPLICA_BIND_ADDRESS", "0.0.0.0")
    with pytest.raises(ValidationError, match="HOSTLER_PROVISIONER_REPLICA_HOST"):
        ProvisionerSettings()
    monkeypatch.setenv("HOSTLER_PROVISIONER_REPLICA_HOST", "gpu-1")
    assert ProvisionerSettings().replica_host == "gpu-1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("BIND_ADDRESS", "gpu-1"), ("BIND_ADDRESS", "::1"), ("HOST", "http://gpu-1"), ("HOST", "gpu-1:80")],
)
def test_what_is_no_address_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"HOSTLER_PROVISIONER_REPLICA_{name}", value)
    with pytest.raises(ValidationError):
        ProvisionerSettings()
