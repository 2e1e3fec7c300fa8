"""Server-side apply: wishes of several managers for one object."""

from kubernetes.aio.client import CustomObjectsApi

from tests.conformance.kubernetes.site import (
    APPLY,
    CONFIG_MAPS,
    SETS,
    Site,
    config_map,
    owned_by,
    replica_set,
)


async def test_an_apply_creates_with_201_and_then_changes_with_200(site: Site) -> None:
    created = await site.apply(SETS, replica_set("a"))
    changed = await site.apply(SETS, replica_set("a", replicas=2))

    assert (created.status, changed.status) == (201, 200)
    assert changed.body["spec"]["replicas"] == 2
    assert changed.metadata["uid"] == created.metadata["uid"]


async def test_the_same_apply_again_keeps_the_revision(site: Site) -> None:
    created = await site.apply(SETS, replica_set("a", labels={"a": "b"}))

    again = await site.apply(SETS, replica_set("a", labels={"a": "b"}))

    assert again.version == created.version


async def test_another_managers_field_is_a_conflict_that_names_the_manager(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    refused = await site.apply(CONFIG_MAPS, config_map("a", {"x": "2"}), manager="second")

    assert (refused.status, refused.reason) == (409, "Conflict")
    assert '"first"' in refused.body["message"]
    assert refused.body["details"]["causes"][0]["reason"] == "FieldManagerConflict"


async def test_force_takes_the_field_over(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    taken = await site.apply(CONFIG_MAPS, config_map("a", {"x": "2"}), manager="second", force="true")
    refused = await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    assert (taken.status, taken.body["data"]) == (200, {"x": "2"})
    assert '"second"' in refused.body["message"]


async def test_managers_of_different_fields_do_not_meet(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    answer = await site.apply(CONFIG_MAPS, config_map("a", {"y": "2"}), manager="second")

    assert (answer.status, answer.body["data"]) == (200, {"x": "1", "y": "2"})


async def test_managers_that_wish_the_same_share_the_field(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}), manager="second")

    kept = await site.apply(CONFIG_MAPS, config_map("a", {}))
    gone = await site.apply(CONFIG_MAPS, config_map("a", {}), manager="second")

    assert kept.body["data"] == {"x": "1"}
    assert "x" not in gone.body.get("data", {})


async def test_what_a_manager_no_longer_wishes_goes(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1", "y": "1"}, labels={"l": "1"}))

    answer = await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    assert answer.body["data"] == {"x": "1"}
    assert "labels" not in answer.metadata


async def test_what_others_changed_by_an_update_is_theirs(site: Site) -> None:
    await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))
    await site.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, fieldManager="editor")

    refused = await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}))

    assert (refused.status, '"editor"' in refused.body["message"]) == (409, True)


async def test_owners_and_finalizers_of_others_stay(site: Site) -> None:
    owner = await site.made(CONFIG_MAPS, config_map("owner"))
    await site.apply(CONFIG_MAPS, config_map("a", ownerReferences=owned_by(owner)))
    await site.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["hostler.example/one"]}})

    answer = await site.apply(CONFIG_MAPS, config_map("a", {"x": "1"}, ownerReferences=owned_by(owner)))

    assert answer.metadata["finalizers"] == ["hostler.example/one"]
    assert [each["uid"] for each in answer.metadata["ownerReferences"]] == [owner.metadata["uid"]]
    await site.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})


async def test_managed_fields_tell_who_applied(site: Site) -> None:
    answer = await site.apply(SETS, replica_set("a"))

    told = [(each["manager"], each["operation"]) for each in answer.metadata["managedFields"]]
    assert told == [("first", "Apply")]
    assert "f:replicas" in answer.metadata["managedFields"][0]["fieldsV1"]["f:spec"]


async def test_an_apply_needs_a_manager(site: Site) -> None:
    refused = await site.patch(SETS, "a", replica_set("a"), APPLY)

    assert refused.status == 400


async def test_an_apply_can_be_strict(site: Site) -> None:
    site.need_schemas()
    body = replica_set("a")
    body["spec"]["unheard"] = 1

    refused = await site.apply(SETS, body, fieldValidation="Strict")

    assert refused.status in (400, 500)
    assert "unheard" in refused.body["message"]
    assert (await site.get(SETS, "a")).status == 404


async def test_a_dry_apply_changes_nothing(site: Site) -> None:
    first = await site.apply(SETS, replica_set("a"))

    answer = await site.apply(SETS, replica_set("a", replicas=3), dryRun="All")

    assert answer.body["spec"]["replicas"] == 3
    assert (await site.get(SETS, "a")).version == first.version


async def test_the_clients_own_call_returns_nothing_when_an_apply_creates(site: Site) -> None:
    """A trap of the client (37.0.2): it knows the answer 200 alone. Whoever uses it must read the raw answer."""
    custom = CustomObjectsApi(site.api)
    where = ("kubevirt.io", "v1", site.namespace, "virtualmachineinstancereplicasets", "a")
    how = {"field_manager": "first", "_content_type": APPLY}

    created = await custom.patch_namespaced_custom_object(*where, replica_set("a"), **how)
    again = await custom.patch_namespaced_custom_object(*where, replica_set("a"), **how)

    assert created is None
    assert again["metadata"]["name"] == "a"
