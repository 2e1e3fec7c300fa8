"""The provisioner's own client and backend on the same servers as the rest of this folder; none of it assumes the fake.

Nothing comes to life by itself here: what KubeVirt would do to a machine is written by hand.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import structlog
from kubernetes.aio import client as kubernetes_client

from hostler_kit.clock import SystemClock
from hostler_provisioner.backend import Step
from hostler_provisioner.kubevirt.backend import KubeVirtBackend
from hostler_provisioner.kubevirt.client import Client
from hostler_provisioner.kubevirt.errors import AlreadyExists, Conflicting, Refused
from hostler_provisioner.kubevirt.names import replica_name
from hostler_provisioner.kubevirt.reading import JsonObject, name_of, text, uid_of
from hostler_provisioner.kubevirt.resources import CONFIG_MAPS, MACHINES
from tests.conformance.kubernetes.site import MERGE, VMIS, Site
from tests.integration.provisioner_kubevirt.kubevirt_site import (
    ACCESS,
    CLUSTER,
    PATIENCE,
    guest,
    launch,
    until,
)

NAME = replica_name("job-1", "r1", 1)


def client_of(site: Site) -> Client:
    return Client(
        kubernetes_client.ApiClient(site.api.configuration),
        namespace=site.namespace,
        clock=SystemClock(),
        timeout_seconds=10,
        requests_max=8,
    )


@asynccontextmanager
async def connected(site: Site) -> AsyncIterator[Client]:
    made = client_of(site)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def backend_on(site: Site) -> AsyncIterator[KubeVirtBackend]:
    async def connect() -> Client:
        return client_of(site)

    made = KubeVirtBackend(
        replace(CLUSTER, namespace=site.namespace),
        replace(ACCESS, request_timeout_seconds=10, unreachable_seconds=30),
        PATIENCE,
        connect=connect,
        guest_of=guest,
        disks=lambda: {"job-1": 1},
        clock=SystemClock(),
        rng=random.Random(1),
        logger=structlog.get_logger(),
    )
    try:
        yield made
    finally:
        await made.close()


def config_map(name: str, data: str = "1") -> JsonObject:
    metadata = {"name": name, "labels": {"hostler.dev/test": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": data}}


async def test_an_object_is_made_once_and_a_second_time_is_told(site: Site) -> None:
    async with connected(site) as api:
        made = await api.create(CONFIG_MAPS, config_map("one"))
        assert name_of(made) == "one"
        with pytest.raises(AlreadyExists):
            await api.create(CONFIG_MAPS, config_map("one"))


async def test_applying_makes_the_object_says_what_it_made_and_the_same_again_changes_nothing(
    site: Site,
) -> None:
    async with connected(site) as api:
        first = await api.apply(CONFIG_MAPS, config_map("one"))
        again = await api.apply(CONFIG_MAPS, config_map("one"))
        assert uid_of(first)
        assert text(first, "metadata", "resourceVersion") == text(again, "metadata", "resourceVersion")


async def test_a_field_that_the_server_does_not_know_is_refused(site: Site) -> None:
    async with connected(site) as api:
        with pytest.raises(Refused, match="nonsense"):
            await api.create(CONFIG_MAPS, {**config_map("one"), "nonsense": 1})


async def test_a_delete_names_the_object_by_its_uid(site: Site) -> None:
    async with connected(site) as api:
        made = await api.create(CONFIG_MAPS, config_map("one"))
        with pytest.raises(Conflicting):
            await api.delete(CONFIG_MAPS, "one", "0b4a7f0e-0000-4000-8000-000000000000")
        await api.delete(CONFIG_MAPS, "one", uid_of(made))
        assert await api.get(CONFIG_MAPS, "one") is None
        await api.delete(CONFIG_MAPS, "one", uid_of(made))


async def test_a_watch_goes_on_where_a_list_ended(site: Site) -> None:
    async with connected(site) as api:
        await api.create(CONFIG_MAPS, config_map("before"))
        found, version = await api.listed(CONFIG_MAPS, selector="hostler.dev/test=yes")
        assert [name_of(each) for each in found] == ["before"]
        made = await api.create(CONFIG_MAPS, config_map("after"))
        await api.delete(CONFIG_MAPS, "after", uid_of(made))
        seen: list[tuple[str, str]] = []
        stream = api.watch(CONFIG_MAPS, selector="hostler.dev/test=yes", version=version, seconds=30)
        async with asyncio.timeout(30):
            async for event in stream:
                if text(event, "type") != "BOOKMARK":
                    seen.append((text(event, "type"), text(event, "object", "metadata", "name")))
                if len(seen) == 2:
                    break
        await stream.aclose()
        assert seen == [("ADDED", "after"), ("DELETED", "after")]


async def stopped(site: Site, place: KubeVirtBackend) -> None:
    """End the replica, doing what KubeVirt does once the machine is down: take its finalizers away."""
    stopping = asyncio.create_task(place.stop("r1", 1.0))
    async with asyncio.timeout(30):
        while not stopping.done():
            found = (await site.get(VMIS, NAME)).body
            if found.get("metadata", {}).get("deletionTimestamp"):
                await site.patch(VMIS, NAME, {"metadata": {"finalizers": None}}, MERGE)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(stopping), 0.1)
    await stopping


async def test_a_replica_is_made_adopted_followed_and_taken_away_with_its_job(site: Site) -> None:
    async with backend_on(site) as first:
        await first.start(launch("r1"))

        async def there() -> str:
            return uid_of((await site.get(VMIS, NAME)).body)

        uid = await site.until(there)
    async with backend_on(site) as place:
        (seen,) = await place.observe()
        assert (seen.step, seen.incomplete) == (Step.IMPORTING, False)
        await place.start(launch("r1"))
        status = {"phase": "Scheduled", "nodeName": "some-node"}
        await site.patch(VMIS, NAME, {"status": status}, MERGE)
        await until(place, lambda seen: seen["r1"].step is Step.BOOTING)
        await site.patch(VMIS, NAME, {"status": {"phase": "Failed", "reason": "by hand"}}, MERGE)
        await until(place, lambda seen: seen["r1"].step is Step.GONE)
        assert (await site.get(VMIS, NAME)).metadata["uid"] == uid
        await stopped(site, place)
        assert await place.observe() == ()
        async with asyncio.timeout(60):
            await place.forget("job-1")
        async with connected(site) as api:
            assert await api.listed(MACHINES) == ((), (await api.listed(MACHINES))[1])
