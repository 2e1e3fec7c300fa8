"""What the one-shot container writes for the others."""

import re
import stat
from pathlib import Path

import pytest

from hostler_cli.supervisor.options import SERVICES
from hostler_cli.supervisor.volumes import make_volumes
from hostler_kit.settings import PlatformSettings
from hostler_kit.valkey import valkey_url


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_container_gets_what_it_needs_and_no_more(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    assert sorted(contents(tmp_path)) == [
        "api/admin.key",
        "api/nats.password",
        "api/secret.key",
        "api/valkey.url",
        "autoscaler/nats.password",
        "nats/nats.conf",
        "nats/nats.password",
        "provisioner/nats.password",
        "provisioner/secret.key",
        "router/nats.password",
        "router/secret.key",
        "router/valkey.url",
        "scheduler/nats.password",
        "valkey/valkey.conf",
        "valkey/valkey.password",
    ]


def test_nobody_else_may_read_any_of_it(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    for path in tmp_path.rglob("*"):
        wanted = 0o600 if path.is_file() else 0o700
        assert wanted == stat.S_IMODE(path.stat().st_mode), path


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    before = contents(tmp_path)
    make_volumes(tmp_path)
    assert before == contents(tmp_path)


def test_every_password_is_another_and_the_server_knows_it_by_its_user(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    files = contents(tmp_path)
    passwords = {name: files[f"{name}/nats.password"].strip() for name in (*SERVICES, "nats")}
    assert len(set(passwords.values())) == len(passwords)
    known = dict(re.findall(r'user: "(\w+)", password: "([^"]+)"', files["nats/nats.conf"]))
    assert known == {**{name: passwords[name] for name in SERVICES}, "operator": passwords["nats"]}
    assert f'requirepass "{files["valkey/valkey.password"].strip()}"' in files["valkey/valkey.conf"]


def test_who_opens_sealed_secrets_has_the_key_of_who_seals_them(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    files = contents(tmp_path)
    assert len({files[f"{service}/secret.key"] for service in ("api", "provisioner", "router")}) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("nats/nats.conf", 'listen: "0.0.0.0:4222"'),
        ("nats/nats.conf", 'http: "127.0.0.1:8222"'),
        ("nats/nats.conf", '  store_dir: "/var/lib/hostler/nats"'),
        ("nats/nats.conf", '  sync_interval: "2m"'),
        ("valkey/valkey.conf", "port 6379"),
        ("valkey/valkey.conf", "bind *"),
        ("valkey/valkey.conf", 'dir "/var/lib/hostler/valkey"'),
    ],
)
def test_the_servers_are_set_up_for_their_containers(tmp_path: Path, file: str, line: str) -> None:
    make_volumes(tmp_path, sync_interval="2m")
    assert line in contents(tmp_path)[file].splitlines()


@pytest.mark.parametrize("service", ["api", "router"])
def test_who_uses_valkey_finds_it_with_the_password_that_valkey_asks_for(
    tmp_path: Path, service: str
) -> None:
    make_volumes(tmp_path)
    password = (tmp_path / "valkey" / "valkey.password").read_text().strip()
    platform = PlatformSettings(valkey_url_file=tmp_path / service / "valkey.url")
    found = valkey_url(platform)
    assert found is not None
    assert found.get_secret_value() == f"redis://:{password}@valkey:6379"
    assert password not in repr(platform)
