"""The configuration files of nats-server and Valkey, rendered from values. Secrets reach the servers by these alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hostler_bus.permissions import permissions_of

NATS_OPERATOR: Final = "operator"
"""The one user that is not a service and may do everything: for people with the `nats` command."""
SYNC_ALWAYS: Final = "always"
NATS_PAYLOAD_MAX: Final = "8MB"
_VALKEY_MEMORY_MAX: Final = "256mb"


@dataclass(frozen=True, slots=True)
class ValkeySocket:
    """Valkey for the processes of one user: a unix socket and no port."""

    path: Path


@dataclass(frozen=True, slots=True)
class ValkeyPort:
    """Valkey for other containers: a port, on every address unless one is named, and a password."""

    port: int
    password: str = field(repr=False)
    bind: str = "*"


def nats_conf(
    *,
    port: int,
    monitor_port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    sync_interval: str = SYNC_ALWAYS,
    host: str = "127.0.0.1",
) -> str:
    """Render nats.conf.

    `sync_interval: always` makes an acknowledged write outlive a power cut: the log is the only truth there is. The
    passwords (by user: services and the operator) are plain text in a file of mode 0600, because bcrypt would cost each
    connection a tenth of a second. Clients come to `host`; the health page is for this machine alone.
    """
    users = nats_users({name: json.dumps(password) for name, password in passwords.items()})
    return f"""\
listen: "{host}:{port}"
http: "127.0.0.1:{monitor_port}"
server_name: hostler
max_payload: {NATS_PAYLOAD_MAX}
{users}jetstream {{
  store_dir: {json.dumps(str(store_dir))}
  sync_interval: {json.dumps(sync_interval)}
}}
"""


def nats_users(passwords: Mapping[str, str]) -> str:
    """Render the block of users; each password is a word as NATS reads it: in quotes, or `$NAME` of a variable."""
    users = "\n".join(_user(name, password) for name, password in passwords.items())
    return f"authorization {{\n  users: [\n{users}\n  ]\n}}\n"


def _user(name: str, password: str) -> str:
    login = f"user: {json.dumps(name)}, password: {password}"
    if name == NATS_OPERATOR:
        return f"    {{ {login} }}"
    allowed = permissions_of(name)
    # NATS reads JSON; the newlines are for people. Only who serves requests may answer them, each once.
    answers = ", allow_responses: true" if allowed.answers else ""
    publish, subscribe = (
        json.dumps(patterns, indent=8).replace("\n]", "\n      ]")
        for patterns in (allowed.publish, allowed.subscribe)
    )
    return f"""\
    {{ {login}, permissions: {{
      publish: {publish},
      subscribe: {subscribe}{answers}
    }} }}"""


def valkey_conf(*, listens: ValkeySocket | ValkeyPort, store_dir: Path) -> str:
    """Render valkey.conf: a socket that only this user can open, or a port that asks for a password.

    The process title stays as it is, since Valkey would write it over the environment by which strays are recognised.
    Keys with a lifetime make room first: all that Hostler keeps here may be lost.
    """
    return f"""\
{_valkey_listens(listens)}
dir {json.dumps(str(store_dir))}
daemonize no
set-proc-title no
appendonly yes
appendfsync everysec
save ""
maxmemory {_VALKEY_MEMORY_MAX}
maxmemory-policy volatile-lru
hash-max-listpack-entries 512
hash-max-listpack-value 512
"""


def _valkey_listens(listens: ValkeySocket | ValkeyPort) -> str:
    match listens:
        case ValkeySocket(path):
            return f"port 0\nunixsocket {json.dumps(str(path))}\nunixsocketperm 700"
        case ValkeyPort(port, password, bind):
            return f"port {port}\nbind {bind}\nrequirepass {json.dumps(password)}"
