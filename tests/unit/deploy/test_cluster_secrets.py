"""The Secrets that are made for a cluster, and the users of NATS that the chart ships beside them."""

import base64
import json
import re
import subprocess
import sys

import pytest

from hostler_bus.permissions import permissions_of
from hostler_cli.supervisor.cluster_secrets import main, manifests, password_variable, secret_files
from hostler_cli.supervisor.conf_files import NATS_OPERATOR, NATS_PAYLOAD_MAX, ValkeyPort, valkey_conf
from hostler_cli.supervisor.options import SERVICES
from hostler_cli.supervisor.volumes import CONTAINER_DATA_DIR
from hostler_kit.secret_key import SecretKey
from scripts.render_nats_users import FILE, render
from tests.support.manifests import CHART, folder, of_kind, one, pods


def test_the_users_of_nats_are_what_the_permissions_say():
    """If this fails: `.venv/bin/python scripts/render_nats_users.py` and `scripts/render_kubernetes.py`."""
    assert FILE.read_text() == render()
    shipped = one(folder("base"), "ConfigMap", "hostler-nats")["data"]["users.conf"]
    assert shipped.strip() == render().strip()


def test_the_users_have_every_pattern_and_no_password():
    text = render()
    assert {pattern for name in SERVICES for pattern in permissions_of(name).publish} <= set(
        re.findall(r'"([^"]+)"', text)
    )
    assert re.findall(r"password: (\S+?)[, ]", text) == [
        f"${password_variable(name)}" for name in (NATS_OPERATOR, *SERVICES)
    ]


def test_every_workload_has_its_secret():
    assert {f"hostler-{part}" for part in secret_files("hostler", 3)} == {
        name for name, _ in pods(folder("base"))
    }


def test_a_service_gets_its_own_password_and_no_other():
    files = secret_files("hostler", 3)
    passwords = {service: files[service]["nats.password"] for service in SERVICES}
    assert len(set(passwords.values())) == len(SERVICES)
    for service in SERVICES:
        others = {word for name, word in passwords.items() if name != service}
        assert not any(word in text for word in others for text in files[service].values())
    assert all(
        f'{password_variable(name)}: "{word}"' in files["nats"]["users.conf"]
        for name, word in passwords.items()
    )


def test_only_who_needs_them_gets_the_sealing_key_and_valkey():
    files = secret_files("hostler", 3)
    assert {part for part, each in files.items() if "secret.key" in each} == {"api", "provisioner", "router"}
    assert len({files[part]["secret.key"] for part in ("api", "provisioner", "router")}) == 1
    assert {part for part, each in files.items() if "valkey.url" in each} == {"api", "router"}
    assert {part for part, each in files.items() if "admin.key" in each} == {"api"}


def test_the_servers_are_told_of_each_other_under_the_names_that_they_have():
    found = folder("base")
    routes = re.findall(
        r"nats://route:[\w-]+@(\S+?):6222", secret_files("hostler", 3)["nats"]["cluster.conf"]
    )
    nats = one(found, "StatefulSet", "hostler-nats")["spec"]
    assert routes == [f"hostler-nats-{number}.{nats['serviceName']}" for number in range(nats["replicas"])]
    assert one(found, "Service", nats["serviceName"])["spec"]["clusterIP"] == "None"
    assert one(found, "Service", nats["serviceName"])["spec"]["publishNotReadyAddresses"] is True


def test_valkey_is_reached_where_it_is():
    url = secret_files("hostler", 3)["api"]["valkey.url"]
    (port,) = one(folder("base"), "Service", "hostler-valkey")["spec"]["ports"]
    assert url.endswith(f"@hostler-valkey:{port['port']}")


def test_valkey_is_configured_as_in_containers():
    ours = (CHART / "files/valkey.conf").read_text()
    theirs = valkey_conf(listens=ValkeyPort(6379, "x"), store_dir=CONTAINER_DATA_DIR).replace('"/var', "/var")
    left_out = {'requirepass "x"', "set-proc-title no"}
    assert set(ours.split("\n")) == set(theirs.replace('hostler"', "hostler").split("\n")) - left_out


def test_a_message_may_be_as_large_as_on_one_machine():
    for conf in of_kind(folder("base"), "ConfigMap"):
        if conf["metadata"]["name"] == "hostler-nats":
            assert f"max_payload: {NATS_PAYLOAD_MAX}" in conf["data"]["nats.conf"]


def test_each_installation_has_secrets_of_its_own():
    first, second = secret_files("hostler", 3), secret_files("hostler", 3)
    assert not {text for each in first.values() for text in each.values()} & {
        text for each in second.values() for text in each.values()
    }


def test_what_is_printed_is_for_kubectl():
    printed = json.loads(manifests("h", "n", {"api": {"nats.password": "word"}}))
    assert printed["kind"] == "List"
    assert printed["items"] == [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "h-api",
                "namespace": "n",
                "labels": {"app.kubernetes.io/part-of": "hostler", "app.kubernetes.io/component": "api"},
            },
            "type": "Opaque",
            "stringData": {"nats.password": "word"},
        }
    ]


def test_the_program_prints_them_for_the_release_that_is_named():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hostler_cli.supervisor.cluster_secrets",
            "--release",
            "two",
            "--namespace",
            "ai",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    items = json.loads(done.stdout)["items"]
    assert {(each["metadata"]["name"], each["metadata"]["namespace"]) for each in items} == {
        (f"two-{part}", "ai") for part in (*SERVICES, "nats", "valkey")
    }
    SecretKey(base64.urlsafe_b64decode(items[0]["stringData"]["secret.key"]))


def test_a_terminal_does_not_get_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["cluster_secrets"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main() == 1
    assert capsys.readouterr().out == ""
