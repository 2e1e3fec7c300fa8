"""The table of processes that make up a stack, as values: what to run, when it is ready, in which turn it ends.

`launch` assembles the inputs and hands the table to `stack`. To add a service is to add it to `options.SERVICES` and,
where it needs more than its name and a port for operations, a line to `_own_settings`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hostler_cli.supervisor.layout import INSTANCE_VARIABLE, STAGE_VARIABLE, DataLayout
from hostler_cli.supervisor.options import SERVICES, UpOptions
from hostler_cli.supervisor.probes import HttpProbe, Probe, TcpProbe, ValkeyProbe

_STOP_STAGE: Final = {"router": 0, "autoscaler": 1, "scheduler": 1, "api": 1, "provisioner": 2}
"""Requests end first, then what makes decisions, then what ends the replicas; the servers go when nobody needs them."""
_SERVER_STAGE: Final = 3
_STOP_GRACE_SECONDS: Final = {"router": 35.0, "provisioner": 30.0}
"""The router lets streams finish, the provisioner ends model servers; ten seconds do for the others."""
_STOP_GRACE_DEFAULT_SECONDS: Final = 10.0
_SERVER_VARIABLES: Final = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR")
"""What nats-server and Valkey see of the user's environment: they need nothing, so they get no secrets."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    """Never holds a secret: everyone on the machine can read it."""
    env: Mapping[str, str] = field(repr=False)
    """The whole environment, secrets included."""
    probes: tuple[Probe, ...] = ()
    stop_grace_seconds: float = _STOP_GRACE_DEFAULT_SECONDS
    """How long it may take to end after SIGTERM."""
    stop_stage: int = 0
    """Lower stages end first."""
    depends_on: tuple[str, ...] = ()
    """Names of processes that must have been ready once before this one starts."""
    ops_url: str | None = None
    """Where it serves /healthz, /readyz and /metrics."""


@dataclass(frozen=True, slots=True)
class StackPorts:
    """The loopback ports of one run."""

    nats: int
    nats_monitor: int
    api: int
    router: int
    ops: Mapping[str, int]
    """By process name."""

    @property
    def nats_url(self) -> str:
        """Where clients of NATS connect."""
        return f"nats://127.0.0.1:{self.nats}"

    @property
    def api_url(self) -> str:
        """Where the native API is."""
        return f"http://127.0.0.1:{self.api}"

    @property
    def router_url(self) -> str:
        """Where the OpenAI-compatible endpoint is, without `/v1`."""
        return f"http://127.0.0.1:{self.router}"


@dataclass(frozen=True, slots=True)
class StackPlan:
    """All that the table of processes follows from."""

    options: UpOptions
    layout: DataLayout
    ports: StackPorts
    instance: str
    nats_binary: Path
    valkey_binary: Path
    valkey_socket: Path
    nats_passwords: Mapping[str, str] = field(repr=False)
    """By user: the services and the operator. Each service learns its own."""
    environ: Mapping[str, str] = field(repr=False)
    """The user's environment, which passes through to the services."""

    @property
    def valkey_url(self) -> str:
        """Where clients of Valkey connect."""
        return f"unix://{self.valkey_socket}"


def service_names(options: UpOptions) -> tuple[tuple[str, str], ...]:
    """List (service, process name) of every service process: api-1, scheduler-1, ..., router-1, router-2."""
    return tuple(
        (service, f"{service}-{number}")
        for service in SERVICES
        for number in range(1, options.instances(service) + 1)
    )


def stack_specs(plan: StackPlan) -> tuple[ProcessSpec, ...]:
    """Give every process of the stack; servers first, in the order in which people expect to read them."""
    services = tuple(_service(plan, service, name) for service, name in service_names(plan.options))
    return (_nats(plan), _valkey(plan), *services)


def _nats(plan: StackPlan) -> ProcessSpec:
    health = f"http://127.0.0.1:{plan.ports.nats_monitor}/healthz?js-server-only=true"
    return ProcessSpec(
        name="nats",
        argv=(str(plan.nats_binary), "-c", str(plan.layout.nats_conf_file)),
        env=_server_env(plan),
        # The health page answers a moment before the server takes clients.
        probes=(HttpProbe(health), TcpProbe(plan.ports.nats)),
        stop_stage=_SERVER_STAGE,
    )


def _valkey(plan: StackPlan) -> ProcessSpec:
    return ProcessSpec(
        name="valkey",
        argv=(str(plan.valkey_binary), str(plan.layout.valkey_conf_file)),
        env=_server_env(plan),
        probes=(ValkeyProbe(plan.valkey_socket),),
        stop_stage=_SERVER_STAGE,
    )


def _server_env(plan: StackPlan) -> dict[str, str]:
    kept = {name: plan.environ[name] for name in _SERVER_VARIABLES if name in plan.environ}
    return {**kept, INSTANCE_VARIABLE: plan.instance, STAGE_VARIABLE: str(_SERVER_STAGE)}


def _service(plan: StackPlan, service: str, name: str) -> ProcessSpec:
    ops_port = plan.ports.ops[name]
    prefix = f"HOSTLER_{service.upper()}_"
    settings = {
        "PYTHONUNBUFFERED": "1",
        "HOSTLER_NATS_URL": plan.ports.nats_url,
        "HOSTLER_NATS_USER": service,
        "HOSTLER_NATS_PASSWORD": plan.nats_passwords[service],
        "HOSTLER_VALKEY_URL": plan.valkey_url,
        "HOSTLER_SECRET_KEY_FILE": str(plan.layout.secret_key_file),
        "HOSTLER_DATA_DIR": str(plan.layout.data_dir),
        "HOSTLER_LOG_FORMAT": "json",
        INSTANCE_VARIABLE: plan.instance,
        STAGE_VARIABLE: str(_STOP_STAGE[service]),
        f"{prefix}NAME": name,
        f"{prefix}OPS_PORT": str(ops_port),
        **_own_settings(plan, service),
    }
    ops_url = f"http://127.0.0.1:{ops_port}"
    return ProcessSpec(
        name=name,
        # -P keeps a stray module in the current folder from being imported in place of a real one.
        argv=(sys.executable, "-P", "-m", f"hostler_{service}"),
        env={**plan.environ, **settings},
        probes=(HttpProbe(f"{ops_url}/readyz"),),
        stop_grace_seconds=_STOP_GRACE_SECONDS.get(service, _STOP_GRACE_DEFAULT_SECONDS),
        stop_stage=_STOP_STAGE[service],
        depends_on=("nats",),
        ops_url=ops_url,
    )


def _own_settings(plan: StackPlan, service: str) -> dict[str, str]:
    match service:
        case "api":
            return {
                "HOSTLER_API_PORT": str(plan.ports.api),
                "HOSTLER_API_ADMIN_KEY_FILE": str(plan.layout.admin_key_file),
            }
        case "router":
            # One process does on a laptop, where every second of start-up is waited for; who wants more says so.
            workers = plan.environ.get("HOSTLER_ROUTER_WORKERS", "1")
            return {"HOSTLER_ROUTER_PORT": str(plan.ports.router), "HOSTLER_ROUTER_WORKERS": workers}
        case "provisioner":
            return {"HOSTLER_PROVISIONER_STOP_REPLICAS_ON_EXIT": "true"}
        case _:
            return {}
