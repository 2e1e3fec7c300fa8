"""What must exist before the first request: the shipped catalogue and the bootstrap admin key.

Every api process does this at its start; entries that are there already are left alone, so it may be done any number of
times by any number of processes at once.
"""

from datetime import datetime
from pathlib import Path

from hostler_api.shipped import HARDWARE_PROFILES, MODEL_MASTERS
from hostler_bus.errors import RevisionConflict
from hostler_bus.port import Bucket, Bus
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey
from hostler_domain.api_keys import checksum_ok, display_prefix, hash_key
from hostler_domain.catalogue import Project
from hostler_domain.errors import PermanentError
from hostler_domain.job import DEFAULT_PROJECT
from hostler_kit.ids import new_id


async def write_shipped_catalogue(bus: Bus, now: datetime) -> None:
    """Add the shipped profiles and masters and the default project where nothing of that name is there."""
    profiles = bus.bucket(subjects.BUCKET_HARDWARE_PROFILES)
    for profile in HARDWARE_PROFILES:
        await _create(profiles, profile.name, catalogue.HARDWARE_PROFILES.encode(profile))
    masters = bus.bucket(subjects.BUCKET_MODEL_MASTERS)
    for master in MODEL_MASTERS:
        await _create(masters, master.model, catalogue.MODEL_MASTERS.encode(master))
    project = Project(DEFAULT_PROJECT, new_id(), now, description="Where jobs go that name no project.")
    await _create(bus.bucket(subjects.BUCKET_PROJECTS), project.name, catalogue.PROJECTS.encode(project))


def read_admin_key(key_file: Path) -> str:
    """The bootstrap admin key.

    Raises:
        PermanentError: the file can't be read or holds no key.
    """
    try:
        key = key_file.read_text().strip()
    except OSError as error:
        raise PermanentError(f"the admin key file {key_file} can't be read: {error.strerror}") from None
    if not checksum_ok(key):
        raise PermanentError(f"the admin key file {key_file} holds no API key")
    return key


async def write_admin_key(bus: Bus, key: str, now: datetime) -> None:
    """Make `key` known as an admin's."""
    record = ApiKey(
        key_id=new_id(),
        name="bootstrap-admin",
        project=DEFAULT_PROJECT,
        key_hash=hash_key(key),
        prefix=display_prefix(key),
        scopes=("admin",),
        created_at=now,
    )
    await _create(bus.bucket(subjects.BUCKET_API_KEYS), record.key_hash, catalogue.API_KEYS.encode(record))


async def _create(bucket: Bucket, key: str, value: bytes) -> None:
    try:
        await bucket.create(key, value)
    except RevisionConflict:
        return
