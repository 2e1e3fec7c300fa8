"""Model masters and hardware profiles for the blocking client. Its twin is `async_catalogue`; they differ in the sending alone."""

from collections.abc import Iterator

from hostler_client import catalogue_api
from hostler_client.catalogue_models import (
    HardwareProfile,
    HardwareProfilePage,
    ModelMaster,
    ModelMasterPage,
    NewHardwareProfile,
    NewModelMaster,
)
from hostler_client.sync_tenancy import Performer


class Masters:
    """Model masters: read, make, replace, forget. A change with a `revision` is made only if it is still the one that was read.

    What changes something and got no answer is sent again. It may find that it was done the first time, and then raises
    `Conflict`, `PreconditionFailed` or `NotFound`.
    """

    def __init__(self, client: Performer) -> None:
        self._client = client

    def get(self, model: str) -> ModelMaster:
        """What is known about one model."""
        return self._client.perform(catalogue_api.get_master(model))

    def page(self, *, after: str | None = None, limit: int | None = None) -> ModelMasterPage:
        """One page of masters by model."""
        return self._client.perform(catalogue_api.masters_page(after=after, limit=limit))

    def list(self) -> Iterator[ModelMaster]:
        """All masters by model, page by page as they are taken."""
        after: str | None = None
        while True:
            page = self.page(after=after)
            yield from page.data
            if not page.has_more or page.next is None:
                return
            after = page.next

    def create(self, master: NewModelMaster) -> ModelMaster:
        """Add what is known about a model."""
        return self._client.perform(catalogue_api.create_master(master))

    def put(self, master: NewModelMaster, *, revision: int | None = None) -> ModelMaster:
        """Add or replace what is known about a model; jobs that exist keep what they were made from."""
        return self._client.perform(catalogue_api.put_master(master, revision=revision))

    def delete(self, model: str, *, revision: int | None = None) -> None:
        """Forget what is known about a model."""
        self._client.perform(catalogue_api.delete_master(model, revision=revision))


class Profiles:
    """Hardware profiles: read, make, replace, take away. Revisions and what is sent again as with `Masters`."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def get(self, name: str) -> HardwareProfile:
        """One kind of machine."""
        return self._client.perform(catalogue_api.get_profile(name))

    def page(self, *, after: str | None = None, limit: int | None = None) -> HardwareProfilePage:
        """One page of profiles by name."""
        return self._client.perform(catalogue_api.profiles_page(after=after, limit=limit))

    def list(self) -> Iterator[HardwareProfile]:
        """All profiles by name, page by page as they are taken."""
        after: str | None = None
        while True:
            page = self.page(after=after)
            yield from page.data
            if not page.has_more or page.next is None:
                return
            after = page.next

    def create(self, profile: NewHardwareProfile) -> HardwareProfile:
        """Add a kind of machine."""
        return self._client.perform(catalogue_api.create_profile(profile))

    def put(self, profile: NewHardwareProfile, *, revision: int | None = None) -> HardwareProfile:
        """Add or replace a kind of machine; replicas that are placed keep what they hold."""
        return self._client.perform(catalogue_api.put_profile(profile, revision=revision))

    def delete(self, name: str, *, revision: int | None = None) -> None:
        """Take a kind of machine away that neither a job nor a master names."""
        self._client.perform(catalogue_api.delete_profile(name, revision=revision))
