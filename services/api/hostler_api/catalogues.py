"""The catalogues that the api holds in memory, together: what it reads when it checks a request or lists what there is."""

from collections.abc import Iterator

from hostler_bus.port import Bucket
from hostler_bus.projection import CatalogueProjection
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, KeyUse
from hostler_domain.capacity import Node
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Project
from hostler_domain.spec_rules import PROJECT_NAME
from hostler_kit.logs import Logger


class Catalogues:
    """One projection of each bucket of records; whoever makes them runs each.

    Attributes:
        masters: Model masters by model.
        profiles: Hardware profiles by name.
        projects: Projects by name.
        nodes: Nodes of every cluster by their key.
        keys: API keys by the hash of the key.
        key_uses: When keys were last used, by the key's id.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        self.masters: CatalogueProjection[ModelMaster] = CatalogueProjection(
            subjects.BUCKET_MODEL_MASTERS, catalogue.MODEL_MASTERS, logger
        )
        self.profiles: CatalogueProjection[HardwareProfile] = CatalogueProjection(
            subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES, logger
        )
        self.projects: CatalogueProjection[Project] = CatalogueProjection(
            subjects.BUCKET_PROJECTS, catalogue.PROJECTS, logger
        )
        self.nodes: CatalogueProjection[Node] = CatalogueProjection(
            subjects.BUCKET_NODES, catalogue.NODES, logger
        )
        self.keys: CatalogueProjection[ApiKey] = CatalogueProjection(
            subjects.BUCKET_API_KEYS, catalogue.API_KEYS, logger
        )
        self.key_uses: CatalogueProjection[KeyUse] = CatalogueProjection(
            subjects.BUCKET_KEY_USES, catalogue.KEY_USES, logger
        )

    def all(self) -> Iterator[tuple[str, CatalogueProjection[object]]]:
        """Every projection with its name."""
        # A projection only gives records out, so one of anything is one of objects as well.
        yield "masters", self.masters  # type: ignore[misc]  # invariant by its codec, which is not used through this
        yield "profiles", self.profiles  # type: ignore[misc]  # as above
        yield "projects", self.projects  # type: ignore[misc]  # as above
        yield "nodes", self.nodes  # type: ignore[misc]  # as above
        yield "keys", self.keys  # type: ignore[misc]  # as above
        yield "key_uses", self.key_uses  # type: ignore[misc]  # as above

    @property
    def caught_up(self) -> bool:
        """Whether each has everything that was stored."""
        return all(each.caught_up for _, each in self.all())

    async def project_exists(self, name: str, bucket: Bucket) -> bool:
        """Whether there is a project of this name; one that was made a moment ago at another api is looked up in `bucket`."""
        if name in self.projects.records:
            return True
        return PROJECT_NAME.fullmatch(name) is not None and await bucket.get(name) is not None
