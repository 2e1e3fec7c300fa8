"""The configuration files of nats-server and Valkey, rendered from values. Secrets reach the servers by these alone."""

import json
from pathlib import Path
from typing import Final

NATS_USER: Final = "hostler"
_PAYLOAD_MAX: Final = "8MB"
_VALKEY_MEMORY_MAX: Final = "256mb"


def nats_conf(*, port: int, monitor_port: int, store_dir: Path, password: str) -> str:
    """Render nats.conf.

    `sync_interval: always` makes an acknowledged write outlive a power cut: the log is the only truth there is. The
    password is plain text in a file of mode 0600, because bcrypt would cost each connection a tenth of a second.
    """
    return f"""\
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
server_name: hostler
max_payload: {_PAYLOAD_MAX}
authorization {{
  user: {NATS_USER}
  password: {json.dumps(password)}
}}
jetstream {{
  store_dir: {json.dumps(str(store_dir))}
  sync_interval: always
}}
"""


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
