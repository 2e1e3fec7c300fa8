"""Changes: PUT, the patches, what may be stale, and where status is written."""

import pytest
from kubernetes.aio.client import ApiException, CustomObjectsApi

from tests.conformance.kubernetes.site import (
    CONFIG_MAPS,
    JSON_PATCH,
    MERGE,
    SETS,
    STRATEGIC,
    VMIS,
    Site,
    config_map,
    replica_set,
    vmi,
)


async def test_a_put_with_an_old_revision_is_a_conflict(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))
    await site.patch(SETS, "a", {"metadata": {"labels": {"changed": "yes"}}})

    refused = await site.send("PUT", site.path(SETS, "a"), first.body)

    assert (refused.status, refused.reason) == (409, "Conflict")


async def test_a_put_with_the_present_revision_replaces(site: Site) -> None:
    first = await site.made(SETS, replica_set("a", labels={"old": "yes"}))
    wanted = replica_set("a", labels={"new": "yes"}, resourceVersion=first.version)

    answer = await site.send("PUT", site.path(SETS, "a"), wanted)

    assert (answer.status, answer.metadata["labels"]) == (200, {"new": "yes"})
    assert answer.metadata["uid"] == first.metadata["uid"]


async def test_a_put_of_a_custom_object_must_name_its_revision(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    refused = await site.send("PUT", site.path(SETS, "a"), replica_set("a"))

    assert (refused.status, refused.reason) == (422, "Invalid")


async def test_a_put_for_another_uid_is_a_conflict(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))
    wanted = replica_set("a", resourceVersion=first.version, uid="00000000-0000-0000-0000-000000000001")

    refused = await site.send("PUT", site.path(SETS, "a"), wanted)

    assert (refused.status, refused.reason) == (409, "Conflict")


async def test_a_merge_patch_with_an_old_revision_is_a_conflict(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))
    await site.patch(SETS, "a", {"metadata": {"labels": {"changed": "yes"}}})

    refused = await site.patch(
        SETS, "a", {"metadata": {"resourceVersion": first.version, "labels": {"a": "b"}}}
    )

    assert (refused.status, refused.reason) == (409, "Conflict")


async def test_a_merge_patch_sets_and_takes_away(site: Site) -> None:
    await site.made(CONFIG_MAPS, config_map("a", {"kept": "1", "gone": "1"}))

    answer = await site.patch(CONFIG_MAPS, "a", {"data": {"gone": None, "new": "2"}})

    assert answer.body["data"] == {"kept": "1", "new": "2"}


async def test_a_change_of_nothing_keeps_the_revision(site: Site) -> None:
    first = await site.made(SETS, replica_set("a", labels={"a": "b"}))

    answer = await site.patch(SETS, "a", {"metadata": {"labels": {"a": "b"}}})

    assert answer.version == first.version


async def test_a_json_patch_does_what_its_operations_say(site: Site) -> None:
    await site.made(CONFIG_MAPS, config_map("a", {"x": "1", "y": "1"}))
    operations = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "remove", "path": "/data/y"},
        {"op": "add", "path": "/metadata/labels", "value": {"new/one": "yes"}},
    ]

    answer = await site.patch(CONFIG_MAPS, "a", operations, JSON_PATCH)

    assert answer.body["data"] == {"x": "2"}
    assert answer.metadata["labels"] == {"new/one": "yes"}


async def test_a_json_patch_whose_test_fails_changes_nothing(site: Site) -> None:
    first = await site.made(CONFIG_MAPS, config_map("a", {"x": "1"}))
    operations = [
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "test", "path": "/data/x", "value": "1"},
    ]

    refused = await site.patch(CONFIG_MAPS, "a", operations, JSON_PATCH)

    assert refused.status == 422
    assert (await site.get(CONFIG_MAPS, "a")).version == first.version


async def test_a_list_sent_as_a_merge_patch_is_a_bad_request(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    assert (await site.patch(SETS, "a", [{"op": "remove", "path": "/spec/replicas"}], MERGE)).status == 400


async def test_custom_objects_take_no_strategic_merge(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    refused = await site.patch(SETS, "a", {"metadata": {"labels": {"a": "b"}}}, STRATEGIC)

    assert (refused.status, refused.reason) == (415, "UnsupportedMediaType")


async def test_a_vmi_has_no_status_subresource(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    refused = await site.send(
        "PATCH", site.path(VMIS, "a", "status"), {"status": {"phase": "Running"}}, MERGE
    )

    assert refused.status == 404


async def test_a_vmis_status_is_written_like_any_field_and_counts_a_generation(site: Site) -> None:
    await site.made(VMIS, vmi("a"))
    before = await site.get(VMIS, "a")

    answer = await site.patch(VMIS, "a", {"status": {"launcherContainerImageVersion": "seen"}})

    assert answer.body["status"]["launcherContainerImageVersion"] == "seen"
    assert answer.metadata["generation"] > before.metadata["generation"]


async def test_where_there_is_a_status_subresource_a_plain_write_of_status_is_not_heard(site: Site) -> None:
    await site.made(SETS, {**replica_set("a"), "status": {"replicas": 3}})
    answer = await site.patch(SETS, "a", {"status": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}})

    assert answer.body.get("status", {}).get("replicas") != 3
    assert answer.metadata["labels"] == {"a": "b"}


async def test_through_the_status_subresource_only_status_changes_and_no_generation(site: Site) -> None:
    first = await site.made(SETS, replica_set("a"))
    patch = {"status": {"replicas": 3}, "spec": {"replicas": 7}}

    answer = await site.send("PATCH", site.path(SETS, "a", "status"), patch, MERGE)

    assert (answer.status, answer.body["status"]["replicas"], answer.body["spec"]["replicas"]) == (200, 3, 0)
    assert answer.metadata["generation"] == first.metadata["generation"]


async def test_the_spec_counts_a_generation_and_labels_do_not(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    labelled = await site.patch(SETS, "a", {"metadata": {"labels": {"a": "b"}}})
    changed = await site.patch(SETS, "a", {"spec": {"replicas": 1}})

    assert (labelled.metadata["generation"], changed.metadata["generation"]) == (1, 2)


async def test_scale_reads_and_changes_the_number_of_replicas(site: Site) -> None:
    await site.made(SETS, replica_set("a"))

    patched = await site.send("PATCH", site.path(SETS, "a", "scale"), {"spec": {"replicas": 4}}, MERGE)
    read = await site.send("GET", site.path(SETS, "a", "scale"))

    assert (patched.status, read.body["kind"], read.body["spec"]["replicas"]) == (200, "Scale", 4)
    assert (await site.get(SETS, "a")).body["spec"]["replicas"] == 4


async def test_a_vmi_has_no_scale(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    assert (await site.send("GET", site.path(VMIS, "a", "scale"))).status == 404


async def test_the_spec_of_a_vmi_can_not_be_changed(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    refused = await site.patch(VMIS, "a", {"spec": {"terminationGracePeriodSeconds": 5}})

    if site.fake is None and refused.status == 200:
        pytest.skip("this server has no KubeVirt, whose webhook refuses it")
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert "update of VMI object is restricted" in refused.body["message"]


async def test_a_disk_without_a_volume_is_refused(site: Site) -> None:
    body = vmi("a")
    body["spec"]["domain"]["devices"]["disks"] = [{"name": "root", "disk": {"bus": "virtio"}}]

    refused = await site.create(VMIS, body)

    if site.fake is None and refused.status == 201:
        pytest.skip("this server has no KubeVirt, whose webhook refuses it")
    assert refused.status == 422


async def test_the_clients_patch_needs_its_content_type_said(site: Site) -> None:
    await site.made(SETS, replica_set("a"))
    custom = CustomObjectsApi(site.api)
    where = ("kubevirt.io", "v1", site.namespace, "virtualmachineinstancereplicasets", "a")
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 2}]

    answer = await custom.patch_namespaced_custom_object(*where, operations, _content_type=JSON_PATCH)

    assert answer["spec"]["replicas"] == 2
    with pytest.raises(ApiException) as refused:
        await custom.patch_namespaced_custom_object(*where, operations, _content_type=MERGE)
    assert refused.value.status == 400
