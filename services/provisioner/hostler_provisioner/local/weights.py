"""Checks that a weights file is what it should be, once per file and not once per replica.

A hash that was computed is remembered with the file's size and time of change. Two replicas that start together share one
reading of the file.
"""

import asyncio
import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_provisioner.local.models import ModelFile
from hostler_provisioner.local.records import write_private

_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HashedFile:
    """What a file hashed to when it had this size and time of change."""

    size: int
    mtime_ns: int
    sha256: str


_CACHE = TypeAdapter(dict[str, HashedFile])


class Weights:
    """The weights files of this machine, as far as they have been checked."""

    def __init__(self, cache_path: Path) -> None:
        self._cache_path = cache_path
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fractions: dict[Path, float] = {}
        self._closing = threading.Event()

    def fraction(self, path: Path) -> float | None:
        """How much of the file has been read, while it is being read."""
        return self._fractions.get(path)

    async def check(self, model: ModelFile) -> None:
        """Return when the file is known to be right.

        Raises:
            PermanentError: it is not there, or not what it should be.
        """
        if model.sha256 is None:
            if not await asyncio.to_thread(model.path.is_file):
                raise PermanentError(f"the weights file {model.path.name} is not there")
            return
        async with self._locks[model.path]:
            try:
                actual = await asyncio.to_thread(self._sha256, model.path)
            finally:
                self._fractions.pop(model.path, None)
        if actual != model.sha256:
            raise PermanentError(
                f"the weights file {model.path.name} is damaged: its SHA-256 is {actual}, not {model.sha256}"
            )

    def close(self) -> None:
        """End the readings that are under way."""
        self._closing.set()

    def _sha256(self, path: Path) -> str:
        try:
            stat = path.stat()
            cache = self._read_cache()
            known = cache.get(str(path))
            if known is not None and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                return known.sha256
            sha256 = self._hash(path, stat.st_size)
        except OSError as error:
            raise PermanentError(f"the weights file {path.name} can't be read: {error}") from error
        cache = self._read_cache() | {str(path): HashedFile(stat.st_size, stat.st_mtime_ns, sha256)}
        write_private(self._cache_path, _CACHE.dump_json(cache))
        return sha256

    def _hash(self, path: Path, size: int) -> str:
        digest, done = hashlib.sha256(), 0
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(_CHUNK_BYTES)
            view = memoryview(buffer)
            while read := file.readinto(buffer):
                digest.update(view[:read])
                done += read
                self._fractions[path] = done / max(size, done)
                if self._closing.is_set():
                    raise TemporaryError("the backend was closed while a weights file was being checked")
        return digest.hexdigest()

    def _read_cache(self) -> dict[str, HashedFile]:
        try:
            return _CACHE.validate_json(self._cache_path.read_bytes())
        except (OSError, ValidationError):
            return {}
