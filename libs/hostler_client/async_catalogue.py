"""Model masters and hardware profiles for the asynchronous client. Its twin is `sync_catalogue`; they differ in the sending alone."""

from collections.abc import AsyncIterator

from hostler_client import catalogue_api
from hostler_client.async_tenancy import AsyncPerformer
from hostler_client.catalogue_models import (
    HardwareProfile,
    HardwareProfilePage,
    ModelMaster,
    ModelMasterPage,
    NewHardwareProfile,
    NewModelMaster,
)


class AsyncMasters:
    """Model masters: read, make, replace, forget. A change with a `revision` is made only if it is still the one that was read.

    What changes something and got no answer is sent again. It may find that it was done the first time, and then raises
    `Conflict`, `PreconditionFailed` or `NotFound`.
    """

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def get(self, model: str) -> ModelMaster:
        """What is known about one model."""
        return await self._client.perform(catalogue_api.get_master(model))

    async def page(self, *, after: str | None = None, limit: int | None = None) -> ModelMasterPage:
        """One page of masters by model."""
        return await self._client.perform(catalogue_api.masters_page(after=after, limit=limit))

    async def list(self) -> AsyncIterator[ModelMaster]:
        """All masters by model, page by page as they are taken."""
        after: str | None = None
        while True:
            page = await self.page(after=after)
            for each in page.data:
                yield each
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def create(self, master: NewModelMaster) -> ModelMaster:
        """Add what is known about a model."""
        return await self._client.perform(catalogue_api.create_master(master))

    async def put(self, master: NewModelMaster, *, revision: int | None = None) -> ModelMaster:
        """Add or replace what is known about a model; jobs that exist keep what they were made from."""
        return await self._client.perform(catalogue_api.put_master(master, revision=revision))

    async def delete(self, model: str, *, revision: int | None = None) -> None:
        """Forget what is known about a model."""
        await self._client.perform(catalogue_api.delete_master(model, revision=revision))


class AsyncProfiles:
    """Hardware profiles: read, make, replace, take away. Revisions and what is sent again as with `AsyncMasters`."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def get(self, name: str) -> HardwareProfile:
        """One kind of machine."""
        return await self._client.perform(catalogue_api.get_profile(name))

    async def page(self, *, after: str | None = None, limit: int | None = None) -> HardwareProfilePage:
        """One page of profiles by name."""
        return await self._client.perform(catalogue_api.profiles_page(after=after, limit=limit))

    async def list(self) -> AsyncIterator[HardwareProfile]:
        """All profiles by name, page by page as they are taken."""
        after: str | None = None
        while True:
            page = await self.page(after=after)
            for each in page.data:
                yield each
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def create(self, profile: NewHardwareProfile) -> HardwareProfile:
        """Add a kind of machine."""
        return await self._client.perform(catalogue_api.create_profile(profile))

    async def put(self, profile: NewHardwareProfile, *, revision: int | None = None) -> HardwareProfile:
        """Add or replace a kind of machine; replicas that are placed keep what they hold."""
        return await self._client.perform(catalogue_api.put_profile(profile, revision=revision))

    async def delete(self, name: str, *, revision: int | None = None) -> None:
        """Take a kind of machine away that neither a job nor a master names."""
        await self._client.perform(catalogue_api.delete_profile(name, revision=revision))
