"""The volumes of a stack of containers: `python -m hostler_cli.supervisor.volumes DIR`, the `init` service of compose.yaml.

DIR has one folder per container, each of them a volume that this container alone mounts as its data folder later, so that a
service sees its own password and no other's:

    api                    admin.key, secret.key, nats.password, valkey.url (with the password in it)
    provisioner            secret.key, nats.password
    router                 secret.key, nats.password, valkey.url
    scheduler, autoscaler  nats.password
    nats                   nats.conf with all passwords, nats.password of the user `operator`, the log
    valkey                 valkey.conf, valkey.password

What is there is kept, so it may run before each start, also beside containers that are running.
"""

import os
import sys
from pathlib import Path
from typing import Final

from hostler_cli.supervisor.conf_files import (
    NATS_OPERATOR,
    SYNC_ALWAYS,
    ValkeyPort,
    nats_conf,
    valkey_conf,
)
from hostler_cli.supervisor.launch import say_on_stderr
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.options import SERVICES, BadOption, check_sync
from hostler_cli.supervisor.secret_files import keep_or_make, make_keys, new_password, write_private

CONTAINER_DATA_DIR: Final = Path("/var/lib/hostler")
"""Where every container has its volume."""
NATS_PORT: Final = 4222
NATS_MONITOR_PORT: Final = 8222
VALKEY_PORT: Final = 6379
VALKEY_PASSWORD_FILE: Final = "valkey.password"  # noqa: S105  # where it is, not what it is
"""Beside its configuration; compose.yaml's health check reads it."""
VALKEY_URL_FILE: Final = "valkey.url"
"""For services that use Valkey: its address under the name that it has among the containers."""
_ANY_ADDRESS: Final = "0.0.0.0"  # the other containers come from outside of this one
_COUNTING: Final = ("api", "router")
"""Who uses Valkey: for metric history, and for limits."""
_SEALING: Final = ("api", "provisioner", "router")


def make_volumes(folder: Path, *, sync_interval: str = SYNC_ALWAYS) -> None:
    """Write what is missing of the secrets, and the servers' configuration."""
    layouts = {part: DataLayout(folder / part) for part in (*SERVICES, "nats", "valkey")}
    for layout in layouts.values():
        layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret_key = make_keys(layouts["api"])
    for service in _SEALING:
        write_private(layouts[service].secret_key_file, secret_key + "\n")
    passwords = {
        NATS_OPERATOR: keep_or_make(layouts["nats"].nats_password_file, new_password),
        **{each: keep_or_make(layouts[each].nats_password_file, new_password) for each in SERVICES},
    }
    inside = DataLayout(CONTAINER_DATA_DIR)
    write_private(
        layouts["nats"].nats_conf_file,
        nats_conf(
            host=_ANY_ADDRESS,
            port=NATS_PORT,
            monitor_port=NATS_MONITOR_PORT,
            store_dir=inside.nats_dir,
            passwords=passwords,
            sync_interval=sync_interval,
        ),
    )
    valkey = layouts["valkey"]
    valkey.valkey_dir.mkdir(mode=0o700, exist_ok=True)
    password = keep_or_make(valkey.data_dir / VALKEY_PASSWORD_FILE, new_password)
    write_private(
        valkey.valkey_conf_file,
        valkey_conf(listens=ValkeyPort(VALKEY_PORT, password), store_dir=inside.valkey_dir),
    )
    for service in _COUNTING:
        write_private(
            layouts[service].data_dir / VALKEY_URL_FILE, f"redis://:{password}@valkey:{VALKEY_PORT}\n"
        )


def main() -> int:
    """Fill the volumes below the one argument."""
    folder = Path(sys.argv[1])
    try:
        sync_interval = check_sync(os.environ.get("HOSTLER_NATS_SYNC_INTERVAL") or SYNC_ALWAYS)
        make_volumes(folder, sync_interval=sync_interval)
    except (BadOption, OSError) as error:
        say_on_stderr(f"error: {error}")
        return 1
    say_on_stderr(f"the volumes below {folder} have their keys, passwords and configuration")
    return 0


if __name__ == "__main__":
    sys.exit(main())
