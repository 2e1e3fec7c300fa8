"""The configuration files of nats-server and Valkey, rendered from values. Secrets reach the servers by these alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hostler_bus.permissions import permissions_of

NATS_OPERATOR: Final = "operator"
"""The one user that is not a service and may do everything: for people with the `nats` command."""
SYNC_ALWAYS: Final = "always"
_PAYLOAD_MAX: Final = "8MB"
_VALKEY_MEMORY_MAX: Final = "256mb"


def nats_conf(
    *,
    port: int,
    monitor_port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    sync_interval: str = SYNC_ALWAYS,
) -> str:
    """Render nats.conf.

    `sync_interval: always` makes an acknowledged write outlive a power cut: the log is the only truth there is. The
    passwords (by user: services and the operator) are plain text in a file of mode 0600, because bcrypt would cost each
    connection a tenth of a second.
    """
    users = "\n".join(_user(name, password) for name, password in passwords.items())
    return f"""\
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
server_name: hostler
max_payload: {_PAYLOAD_MAX}
authorization {{
  users: [
{users}
  ]
}}
jetstream {{
  store_dir: {json.dumps(str(store_dir))}
  sync_interval: {json.dumps(sync_interval)}
}}
"""


def _user(name: str, password: str) -> str:
    login = f"user: {json.dumps(name)}, password: {json.dumps(password)}"
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


def valkey_conf(*, socket: Path, store_dir: Path) -> str:
    """Render valkey.conf: no TCP port at all, and a socket that only this user can open.

    The process title stays as it is, since Valkey would write it over the environment by which strays are recognised.
    Keys with a lifetime make room first: all that Hostler keeps here may be lost.
    """
    return f"""\
port 0
unixsocket {json.dumps(str(socket))}
unixsocketperm 700
dir {json.dumps(str(store_dir))}
daemonize no
set-proc-title no
appendonly yes
appendfsync everysec
save ""
maxmemory {_VALKEY_MEMORY_MAX}
maxmemory-policy volatile-lru
"""
