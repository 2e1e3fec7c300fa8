"""Objects as the API server keeps them: creation, its refusals, deletion and its conditions."""

import pytest
from kubernetes.aio.client import ApiException

from tests.conformance.kubernetes.conftest import Site, vmi


async def test_a_created_object_has_uid_revision_time_and_generation(site: Site) -> None:
    made = (await site.custom.create_namespaced_custom_object(**site.of(), body=vmi("a")))["metadata"]

    assert made["uid"]
    assert int(made["resourceVersion"]) > 0
    assert made["generation"] == 1
    assert made["creationTimestamp"].endswith("Z")


async def test_a_second_object_of_the_name_is_refused_as_already_existing(site: Site) -> None:
    await site.custom.create_namespaced_custom_object(**site.of(), body=vmi("a"))

    with pytest.raises(ApiException) as refused:
        await site.custom.create_namespaced_custom_object(**site.of(), body=vmi("a"))

    assert (refused.value.status, '"AlreadyExists"' in refused.value.body) == (409, True)
