"""What the local backend keeps on disk of each replica, so that a provisioner that was killed finds them again.

    DIR/replicas/<replica_id>/   mode 0700
        replica.json   the record below, written whole and renamed into place
        key            the replica's key, 0600, only from the wish to start it until its process has it
        launch.json    what the child reads
        log.txt        what the child writes
        log.1.txt      the end of what it wrote before the log was emptied
    DIR/replica-logs/<replica_id>.txt   what a replica wrote that is forgotten, for a day

The wish is recorded before the process is started and its pid after. Blocking calls; the backend makes them in threads.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hostler_domain.errors import PermanentError
from hostler_provisioner.backend import Launch, Step
from hostler_provisioner.local import log_files
from hostler_provisioner.local.runtimes import LLAMACPP, Scalar

_REPLICA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LOG_TAIL_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    """One replica: what it is to be, and what has become of it.

    Attributes:
        replica_id: Its name.
        job_id: The job it serves.
        model: Hugging Face id of its weights.
        served_name: What callers put in `model`.
        parameters: How its server is run, by name.
        env: Extra environment of its process.
        step: How far it was when this was written.
        since: When it came to that step.
        port: Its server's, once chosen.
        pid: Its process, once started.
        create_time: Of that process, by the kernel's clock: a pid alone may have been given to another since.
        exit_code: Of one that is gone, when this backend saw it end.
        detail: Why it is gone.
        runtime: The kind of its server.
    """

    replica_id: str
    job_id: str
    model: str
    served_name: str
    parameters: dict[str, Scalar]
    env: dict[str, str]
    step: Step
    since: datetime
    port: int | None = None
    pid: int | None = None
    create_time: float | None = None
    exit_code: int | None = None
    detail: str = ""
    runtime: str = LLAMACPP.name


_RECORD = TypeAdapter(ReplicaRecord)


class ReplicaFolder:
    """The files of one replica."""

    def __init__(self, replicas_dir: Path, replica_id: str) -> None:
        if not _REPLICA_ID.fullmatch(replica_id):
            raise PermanentError(f"replica id {replica_id!r} can't name a folder")
        self.path = replicas_dir / replica_id
        self.log_path = self.path / "log.txt"
        self.launch_path = self.path / "launch.json"
        self.kept_log_path = log_files.kept_log(replicas_dir.parent / log_files.KEPT_LOGS, replica_id)
        self._record_path = self.path / "replica.json"
        self._key_path = self.path / "key"

    def create(self, record: ReplicaRecord, launch: Launch) -> None:
        """Record the wish to start a replica."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._key_path, launch.api_key.encode())
        self.write(record)

    def write(self, record: ReplicaRecord) -> None:
        """Replace the record."""
        write_private(self._record_path, _RECORD.dump_json(record))

    def read(self) -> ReplicaRecord:
        """The record; one that says "gone" where there is no readable one, so that someone clears it away."""
        try:
            return _RECORD.validate_json(self._record_path.read_bytes())
        except (OSError, ValidationError):
            return ReplicaRecord(
                replica_id=self.path.name,
                job_id="",
                model="",
                served_name="",
                parameters={},
                env={},
                step=Step.GONE,
                since=datetime.fromtimestamp(0, UTC),
                detail="its record can't be read",
            )

    def key(self) -> str | None:
        """The replica's key while its process has yet to be given it."""
        try:
            return self._key_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def forget_key(self) -> None:
        """The process has it now."""
        self._key_path.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The end of what the process wrote."""
        try:
            with self.log_path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LOG_TAIL_BYTES))
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def shorten_log(self, bytes_max: int) -> None:
        """Empty the log when it has outgrown `bytes_max`; the last of it stays beside it."""
        log_files.shorten(self.log_path, bytes_max)

    def remove(self) -> None:
        """Forget the replica; its log stays for a while."""
        log_files.keep(self.log_path, self.kept_log_path.parent, self.path.name)
        shutil.rmtree(self.path, ignore_errors=True)


def folders(replicas_dir: Path) -> Iterator[ReplicaFolder]:
    """The replicas that have a folder, by id."""
    for path in sorted(replicas_dir.iterdir()):
        if path.is_dir() and _REPLICA_ID.fullmatch(path.name):
            yield ReplicaFolder(replicas_dir, path.name)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user reads, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)
