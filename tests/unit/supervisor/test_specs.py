"""The table of processes: who starts after whom, who ends when, and who is told what."""

from dataclasses import replace
from pathlib import Path

import pytest

from hostler_cli.supervisor.conf_files import ValkeySocket, nats_conf, valkey_conf
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.options import SERVICES as KINDS
from hostler_cli.supervisor.options import UpOptions
from hostler_cli.supervisor.specs import ProcessSpec, StackPlan, StackPorts, service_names, stack_specs

PASSWORDS = {name: f"secret of {name}" for name in ("operator", *KINDS)}
OPTIONS = UpOptions(Path("/data"), scale=(("router", 2),))
NAMES = [name for _, name in service_names(OPTIONS)]
PORTS = StackPorts(
    nats=1, nats_monitor=2, api=8080, router=8000, ops={name: 100 + n for n, name in enumerate(NAMES)}
)
ENVIRON = {
    "HOME": "/home/me",
    "HF_TOKEN": "hf_secret",
    "HOSTLER_ROUTER_X": "mine",
    "HOSTLER_NATS_URL": "elsewhere",
}
PLAN = StackPlan(
    options=OPTIONS,
    layout=DataLayout(Path("/data")),
    ports=PORTS,
    instance="folder.run",
    nats_binary=Path("/bin/nats-server"),
    valkey_binary=Path("/bin/valkey-server"),
    valkey_socket=Path("/data/run/valkey.sock"),
    nats_passwords=PASSWORDS,
    environ=ENVIRON,
)
SPECS = {spec.name: spec for spec in stack_specs(PLAN)}
SERVICES = [SPECS[name] for name in NAMES]


def test_every_service_runs_as_often_as_asked() -> None:
    assert NAMES == ["api-1", "scheduler-1", "provisioner-1", "router-1", "router-2", "autoscaler-1"]
    assert ["nats", "valkey", *NAMES] == list(SPECS)


def test_a_router_is_one_process_unless_the_user_asks_for_more() -> None:
    environ = {**ENVIRON, "HOSTLER_ROUTER_WORKERS": "0"}
    asked = {spec.name: spec for spec in stack_specs(replace(PLAN, environ=environ))}
    assert (
        SPECS["router-1"].env["HOSTLER_ROUTER_WORKERS"],
        asked["router-1"].env["HOSTLER_ROUTER_WORKERS"],
    ) == ("1", "0")


def test_no_secret_is_on_a_command_line_or_in_a_repr() -> None:
    told = repr(PLAN) + "".join(" ".join(spec.argv) + repr(spec) for spec in SPECS.values())
    assert [password for password in PASSWORDS.values() if password in told] == []


def test_the_servers_see_no_secret_at_all() -> None:
    for name in ("nats", "valkey"):
        assert set(SPECS[name].env) == {"HOME", "HOSTLER_INSTANCE", "HOSTLER_STOP_STAGE"}


@pytest.mark.parametrize("spec", SERVICES, ids=NAMES)
def test_every_service_starts_after_nats_and_answers_on_its_own_port(spec: ProcessSpec) -> None:
    assert spec.depends_on == ("nats",)
    assert spec.ops_url == f"http://127.0.0.1:{PORTS.ops[spec.name]}"


@pytest.mark.parametrize("spec", SERVICES, ids=NAMES)
def test_what_the_supervisor_settles_wins_and_the_rest_passes_through(spec: ProcessSpec) -> None:
    assert spec.env["HOSTLER_NATS_URL"] == "nats://127.0.0.1:1"
    assert spec.env["HOSTLER_INSTANCE"] == "folder.run"
    assert spec.env["HOSTLER_ROUTER_X"] == "mine"
    assert spec.env["HF_TOKEN"] == "hf_secret"


@pytest.mark.parametrize("spec", SERVICES, ids=NAMES)
def test_every_service_logs_in_as_itself_and_learns_no_other_password(spec: ProcessSpec) -> None:
    service, _, _ = spec.name.partition("-")
    assert spec.env["HOSTLER_NATS_USER"] == service
    assert [PASSWORDS[service]] == [value for value in spec.env.values() if value in PASSWORDS.values()]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api-1", {"HOSTLER_API_PORT": "8080", "HOSTLER_API_ADMIN_KEY_FILE": "/data/admin.key"}),
        ("router-1", {"HOSTLER_ROUTER_PORT": "8000", "HOSTLER_ROUTER_NAME": "router-1"}),
        ("router-2", {"HOSTLER_ROUTER_PORT": "8000", "HOSTLER_ROUTER_NAME": "router-2"}),
        ("provisioner-1", {"HOSTLER_PROVISIONER_STOP_REPLICAS_ON_EXIT": "true"}),
        ("scheduler-1", {"HOSTLER_SCHEDULER_NAME": "scheduler-1", "HOSTLER_SCHEDULER_OPS_PORT": "101"}),
        (
            "autoscaler-1",
            {"HOSTLER_VALKEY_URL": "unix:///data/run/valkey.sock", "HOSTLER_LOG_FORMAT": "json"},
        ),
    ],
)
def test_each_service_is_told_its_own_settings(name: str, expected: dict[str, str]) -> None:
    assert expected == {key: SPECS[name].env.get(key) for key in expected}


def test_only_the_api_learns_where_the_admin_key_is() -> None:
    told = [name for name, spec in SPECS.items() if "HOSTLER_API_ADMIN_KEY_FILE" in spec.env]
    assert told == ["api-1"]


def test_ending_goes_from_requests_to_decisions_to_replicas_to_servers() -> None:
    stages: dict[int, set[str]] = {}
    for name, spec in SPECS.items():
        stages.setdefault(spec.stop_stage, set()).add(name.partition("-")[0])
    assert [stages[stage] for stage in sorted(stages)] == [
        {"router"},
        {"autoscaler", "scheduler", "api"},
        {"provisioner"},
        {"valkey", "nats"},
    ]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_stage_travels_in_the_environment(spec: ProcessSpec) -> None:
    assert spec.env["HOSTLER_STOP_STAGE"] == str(spec.stop_stage)


def test_nats_syncs_always_listens_on_loopback_alone_and_knows_its_users() -> None:
    passwords = {"operator": 'pass"word', "router": "other"}
    conf = nats_conf(port=4222, monitor_port=8222, store_dir=Path('/data "x"'), passwords=passwords)
    assert 'listen: "127.0.0.1:4222"' in conf
    assert 'http: "127.0.0.1:8222"' in conf
    assert 'sync_interval: "always"' in conf
    assert "max_payload: 8MB" in conf
    assert r'{ user: "operator", password: "pass\"word" }' in conf
    assert '{ user: "router", password: "other", permissions: {' in conf
    assert '"_INBOX_router.>"' in conf
    assert r'store_dir: "/data \"x\""' in conf


def test_how_often_nats_syncs_can_be_chosen() -> None:
    conf = nats_conf(port=1, monitor_port=2, store_dir=Path("/data"), passwords={}, sync_interval="2m")
    assert 'sync_interval: "2m"' in conf


def test_valkey_has_no_port_and_a_socket_for_its_owner() -> None:
    lines = valkey_conf(listens=ValkeySocket(Path("/run/v.sock")), store_dir=Path("/data/a b")).splitlines()
    assert {"port 0", 'unixsocket "/run/v.sock"', "unixsocketperm 700", 'dir "/data/a b"'} <= set(lines)
    assert {"appendonly yes", "set-proc-title no", "maxmemory-policy volatile-lru"} <= set(lines)
