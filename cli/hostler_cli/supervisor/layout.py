"""Where things lie below a data folder, and the names by which its processes are recognised. Paths only, no I/O."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INSTANCE_VARIABLE: Final = "HOSTLER_INSTANCE"
"""Every process of a stack carries this in its environment, model servers included: that is how strays are found."""
STAGE_VARIABLE: Final = "HOSTLER_STOP_STAGE"
"""Says in which turn a process is to be ended; the children of a service inherit the turn of their parent."""
SOCKET_PATH_MAX: Final = 100
"""A unix socket's path may have 104 bytes on macOS and 108 on Linux, the closing zero included."""


@dataclass(frozen=True, slots=True)
class DataLayout:
    """The files of one data folder."""

    data_dir: Path

    @property
    def state_file(self) -> Path:
        """What the supervisor tells the world."""
        return self.data_dir / "supervisor.json"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.data_dir / "supervisor.lock"

    @property
    def admin_key_file(self) -> Path:
        """The bootstrap admin key, one line."""
        return self.data_dir / "admin.key"

    @property
    def secret_key_file(self) -> Path:
        """The key that seals stored secrets."""
        return self.data_dir / "secret.key"

    @property
    def nats_password_file(self) -> Path:
        """The password of the NATS user `operator`, for people; the services' own are in no file but `nats_conf_file`."""
        return self.data_dir / "nats.password"

    @property
    def nats_conf_file(self) -> Path:
        """Written anew at each start."""
        return self.data_dir / "nats.conf"

    @property
    def nats_dir(self) -> Path:
        """JetStream's store."""
        return self.data_dir / "nats"

    @property
    def valkey_conf_file(self) -> Path:
        """Written anew at each start."""
        return self.data_dir / "valkey.conf"

    @property
    def valkey_dir(self) -> Path:
        """Valkey's append-only file."""
        return self.data_dir / "valkey"

    @property
    def log_dir(self) -> Path:
        """One file per process."""
        return self.data_dir / "logs"

    @property
    def run_dir(self) -> Path:
        """Sockets, when the path to them is short enough."""
        return self.data_dir / "run"

    @property
    def instance_prefix(self) -> str:
        """What the instance ids of all runs of this folder begin with; two folders never share it."""
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12] + "."

    def log_file(self, name: str) -> Path:
        """Give the log of one process."""
        return self.log_dir / f"{name}.log"


def valkey_socket(layout: DataLayout, *, temporary_dir: Path, user_id: int) -> Path:
    """Choose a path for Valkey's socket that the kernel accepts, however deep the data folder lies."""
    beside = layout.run_dir / "valkey.sock"
    if len(bytes(beside)) <= SOCKET_PATH_MAX:
        return beside
    return temporary_dir / f"hostler-{user_id}-{layout.instance_prefix.rstrip('.')}" / "valkey.sock"
