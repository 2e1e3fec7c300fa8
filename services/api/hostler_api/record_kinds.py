"""The two catalogues that admins keep by hand, as the shell in `records` knows them."""

from hostler_api.audit import AuditLog
from hostler_api.catalogues import Catalogues
from hostler_api.records import Kind, RecordService
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, subjects
from hostler_domain.catalogue import HardwareProfile, ModelMaster


def master_service(bus: Bus, catalogues: Catalogues, audit: AuditLog) -> RecordService[ModelMaster]:
    """Model masters. Jobs keep a snapshot of theirs, so nothing needs one that is there."""
    kind = Kind(
        "model master",
        subjects.BUCKET_MODEL_MASTERS,
        catalogue.MODEL_MASTERS,
        key=lambda master: master.model,
        in_use=lambda _master: None,
    )
    return RecordService(bus, kind, catalogues.masters, audit)


def profile_service(
    bus: Bus, catalogues: Catalogues, jobs: JobProjection, audit: AuditLog
) -> RecordService[HardwareProfile]:
    """Hardware profiles. One that a living job or a model master names has to stay."""

    def in_use(profile: HardwareProfile) -> str | None:
        living = sum(
            each.job.spec.hardware_profile == profile.name and not each.job.deleted
            for each in jobs.jobs.values()
        )
        masters = sum(each.hardware_profile == profile.name for each in catalogues.masters.records.values())
        if living or masters:
            return f"{living} jobs and {masters} model masters name the hardware profile {profile.name!r}"
        return None

    kind = Kind(
        "hardware profile",
        subjects.BUCKET_HARDWARE_PROFILES,
        catalogue.HARDWARE_PROFILES,
        key=lambda profile: profile.name,
        in_use=in_use,
    )
    return RecordService(bus, kind, catalogues.profiles, audit)
