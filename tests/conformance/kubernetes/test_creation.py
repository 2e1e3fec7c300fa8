"""Creation: what the server adds, and what it refuses."""

import pytest
from kubernetes.aio.client import ApiException, CustomObjectsApi

from tests.conformance.kubernetes.site import CONFIG_MAPS, SETS, VMIS, Site, config_map, replica_set, vmi


async def test_a_created_object_has_uid_revision_time_and_generation(site: Site) -> None:
    made = (await site.made(SETS, replica_set("a"))).metadata

    assert made["uid"]
    assert int(made["resourceVersion"]) > 0
    assert made["generation"] == 1
    assert made["creationTimestamp"].endswith("Z")


async def test_revisions_rise_over_all_kinds(site: Site) -> None:
    first = await site.made(CONFIG_MAPS, config_map("a"))
    second = await site.made(SETS, replica_set("a"))
    third = await site.made(CONFIG_MAPS, config_map("b"))

    assert int(first.version) < int(second.version) < int(third.version)


async def test_the_clients_own_calls_create_and_read(site: Site) -> None:
    custom = CustomObjectsApi(site.api)
    where = ("kubevirt.io", "v1", site.namespace, "virtualmachineinstances")

    made = await custom.create_namespaced_custom_object(*where, vmi("a"), field_validation="Strict")
    read = await custom.get_namespaced_custom_object(*where, "a")

    assert made["metadata"]["uid"] == read["metadata"]["uid"]
    with pytest.raises(ApiException) as refused:
        await custom.get_namespaced_custom_object(*where, "b")
    assert refused.value.status == 404


async def test_a_second_object_of_the_name_already_exists(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    refused = await site.create(VMIS, vmi("a"))

    assert (refused.status, refused.reason) == (409, "AlreadyExists")


async def test_an_absent_object_is_not_found(site: Site) -> None:
    refused = await site.get(VMIS, "a")

    assert (refused.status, refused.reason) == (404, "NotFound")
    assert refused.body["details"]["name"] == "a"


async def test_names_can_be_generated(site: Site) -> None:
    body = config_map("", generateName="some-")
    del body["metadata"]["name"]

    names = [(await site.made(CONFIG_MAPS, body)).metadata["name"] for _ in range(2)]

    assert all(name.startswith("some-") for name in names)
    assert names[0] != names[1]


async def test_a_name_that_is_none_is_invalid(site: Site) -> None:
    refused = await site.create(CONFIG_MAPS, config_map("No_Name"))

    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "metadata.name"


async def test_nothing_is_created_in_a_namespace_that_is_not_there(site: Site) -> None:
    path = "/api/v1/namespaces/hostler-never-made/configmaps"

    refused = await site.send("POST", path, config_map("a"))

    assert (refused.status, refused.reason) == (404, "NotFound")


async def test_a_dry_run_answers_as_if_and_creates_nothing(site: Site) -> None:
    answer = await site.create(SETS, replica_set("a"), dryRun="All")

    assert (answer.status, answer.metadata["name"]) == (201, "a")
    assert (await site.get(SETS, "a")).status == 404


async def test_a_dry_run_of_an_existing_name_is_refused(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    assert (await site.create(SETS, replica_set("a"), dryRun="All")).reason == "AlreadyExists"


async def test_an_error_of_the_schema_names_the_field(site: Site) -> None:
    site.need_schemas()
    body = vmi("a")
    body["spec"]["domain"]["cpu"] = {"cores": "two"}

    refused = await site.create(VMIS, body)

    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.body["details"]["causes"][0]["field"] == "spec.domain.cpu.cores"


async def test_a_missing_field_is_named(site: Site) -> None:
    site.need_schemas()
    body = vmi("a")
    body["spec"] = {}

    refused = await site.create(VMIS, body)

    causes = {each["field"]: each["reason"] for each in refused.body["details"]["causes"]}
    assert (refused.status, causes) == (422, {"spec.domain": "FieldValueRequired"})


async def test_an_unknown_field_is_dropped_without_a_word(site: Site) -> None:
    site.need_schemas()
    body = replica_set("a")
    body["spec"]["unheard"] = 1

    made = await site.made(SETS, body)

    assert "unheard" not in made.body["spec"]


async def test_an_unknown_field_is_refused_when_asked_to_be_strict(site: Site) -> None:
    site.need_schemas()
    body = vmi("a")
    body["spec"]["domain"]["unheard"] = 1

    refused = await site.create(VMIS, body, fieldValidation="Strict")

    assert (refused.status, refused.reason) == (400, "BadRequest")
    assert 'unknown field "spec.domain.unheard"' in refused.body["message"]
    assert (await site.get(VMIS, "a")).status == 404


async def test_an_unknown_field_of_a_built_in_kind_is_refused_as_well(site: Site) -> None:
    refused = await site.create(CONFIG_MAPS, {**config_map("a"), "unheard": 1}, fieldValidation="Strict")

    assert (refused.status, refused.reason) == (400, "BadRequest")


async def test_the_text_of_a_secret_is_kept_as_data(site: Site) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"key": "value"}}

    made = await site.made("v1/secrets", secret)

    assert made.body["data"] == {"key": "dmFsdWU="}
    assert made.body["type"] == "Opaque"
    assert "stringData" not in made.body
