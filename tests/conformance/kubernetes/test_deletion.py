"""Deletion: its conditions, what holds it up, and what goes along."""

from tests.conformance.kubernetes.site import (
    CONFIG_MAPS,
    SECRETS,
    SETS,
    VMIS,
    Site,
    config_map,
    owned_by,
    replica_set,
    vmi,
)

FINALIZER = "hostler.example/held"
NOBODY = "00000000-0000-0000-0000-000000000001"


def _secret(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}


async def test_a_deleted_object_is_gone_and_its_name_is_free(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))

    assert (await site.delete(SETS, "a")).status == 200
    assert (await site.get(SETS, "a")).status == 404
    second = await site.made(SETS, replica_set("a"))

    assert second.metadata["uid"] != first.metadata["uid"]


async def test_deleting_what_is_not_there_is_not_found(site: Site) -> None:
    assert (await site.delete(SETS, "a")).reason == "NotFound"


async def test_a_delete_for_another_uid_is_a_conflict(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    refused = await site.delete(SETS, "a", preconditions={"uid": NOBODY})

    assert (refused.status, refused.reason) == (409, "Conflict")
    assert (await site.get(SETS, "a")).status == 200


async def test_a_delete_for_an_old_revision_is_a_conflict(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))
    await site.patch(SETS, "a", {"metadata": {"labels": {"a": "b"}}})

    refused = await site.delete(SETS, "a", preconditions={"resourceVersion": first.version})

    assert (refused.status, refused.reason) == (409, "Conflict")


async def test_a_finalizer_keeps_the_object_with_a_time_of_deletion(site: Site) -> None:
    first = await site.made(SETS, replica_set("a", finalizers=[FINALIZER]))

    answer = await site.delete(SETS, "a", preconditions={"uid": first.metadata["uid"]})
    held = await site.get(SETS, "a")

    assert answer.status == 200
    assert held.metadata["deletionTimestamp"].endswith("Z")
    assert held.metadata["finalizers"] == [FINALIZER]
    assert (await site.create(SETS, replica_set("a"))).reason == "AlreadyExists"

    await site.patch(SETS, "a", {"metadata": {"finalizers": None}})
    assert (await site.get(SETS, "a")).status == 404


async def test_a_second_delete_of_a_held_object_changes_nothing(site: Site) -> None:
    await site.made(SETS, replica_set("a", finalizers=[FINALIZER]))
    await site.delete(SETS, "a")
    held = await site.get(SETS, "a")

    assert (await site.delete(SETS, "a")).status == 200
    assert (await site.get(SETS, "a")).version == held.version
    await site.patch(SETS, "a", {"metadata": {"finalizers": None}})


async def test_nothing_new_can_hold_what_is_being_deleted(site: Site) -> None:
    await site.made(SETS, replica_set("a", finalizers=[FINALIZER]))
    await site.delete(SETS, "a")

    refused = await site.patch(SETS, "a", {"metadata": {"finalizers": [FINALIZER, "hostler.example/more"]}})

    assert refused.status == 422
    await site.patch(SETS, "a", {"metadata": {"finalizers": None}})


async def test_a_held_vmi_is_gone_only_when_nothing_holds_it(site: Site) -> None:
    await site.made(VMIS, vmi("a", finalizers=[FINALIZER]))

    await site.delete(VMIS, "a")

    assert "deletionTimestamp" in (await site.get(VMIS, "a")).metadata
    await site.patch(VMIS, "a", {"metadata": {"finalizers": None}})
    await site.until_gone(VMIS, "a")


async def test_what_an_object_owns_goes_after_it(site: Site) -> None:
    owner = await site.made(CONFIG_MAPS, config_map("owner"))
    await site.made(SECRETS, _secret("owned", ownerReferences=owned_by(owner)))
    await site.made(SECRETS, _secret("free"))

    await site.delete(CONFIG_MAPS, "owner")
    await site.until_gone(SECRETS, "owned")

    assert (await site.get(SECRETS, "free")).status == 200


async def test_in_the_foreground_what_blocks_goes_first(site: Site) -> None:
    owner = await site.made(CONFIG_MAPS, config_map("owner"))
    reference = owned_by(owner, blockOwnerDeletion=True)
    await site.made(SETS, replica_set("owned", ownerReferences=reference, finalizers=[FINALIZER]))

    await site.delete(CONFIG_MAPS, "owner", propagationPolicy="Foreground")

    async def being_deleted() -> bool:
        return "deletionTimestamp" in (await site.get(SETS, "owned")).metadata

    await site.until(being_deleted)
    held = await site.get(CONFIG_MAPS, "owner")
    assert (held.status, held.metadata["finalizers"]) == (200, ["foregroundDeletion"])

    await site.patch(SETS, "owned", {"metadata": {"finalizers": None}})
    await site.until_gone(CONFIG_MAPS, "owner")
    assert (await site.get(SETS, "owned")).status == 404


async def test_orphans_stay_and_know_their_owner_no_more(site: Site) -> None:
    owner = await site.made(CONFIG_MAPS, config_map("owner"))
    await site.made(SECRETS, _secret("owned", ownerReferences=owned_by(owner)))

    await site.delete(CONFIG_MAPS, "owner", propagationPolicy="Orphan")
    await site.until_gone(CONFIG_MAPS, "owner")

    left = await site.get(SECRETS, "owned")
    assert (left.status, left.metadata.get("ownerReferences")) == (200, None)


async def test_who_names_an_owner_that_never_was_is_collected(site: Site) -> None:
    reference = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": NOBODY}]
    await site.made(SECRETS, _secret("owned", ownerReferences=reference))

    await site.until_gone(SECRETS, "owned")


async def test_a_collection_is_deleted_by_its_labels(site: Site) -> None:
    await site.made(CONFIG_MAPS, config_map("a", labels={"of": "x"}))
    await site.made(CONFIG_MAPS, config_map("b", labels={"of": "y"}))

    answer = await site.send("DELETE", site.path(CONFIG_MAPS), labelSelector="of=x")

    assert answer.status == 200
    assert (await site.get(CONFIG_MAPS, "a")).status == 404
    assert (await site.get(CONFIG_MAPS, "b")).status == 200


async def test_a_dry_delete_deletes_nothing(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    answer = await site.delete(SETS, "a", dryRun=["All"])

    assert answer.status == 200
    assert (await site.get(SETS, "a")).status == 200
