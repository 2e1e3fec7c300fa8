"""A cluster under test: one way to send a request and read the whole answer, and the objects that tests write."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from kubernetes.aio import client

from tests.support.kubernetes.catalog import definitions_folder
from tests.support.kubernetes.cluster import FakeCluster

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
VMIS = "kubevirt.io/v1/virtualmachineinstances"
SETS = "kubevirt.io/v1/virtualmachineinstancereplicasets"
DATA_VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"
CONFIG_MAPS = "v1/configmaps"
SECRETS = "v1/secrets"
_PATIENCE_SECONDS = 30

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Body

    @property
    def reason(self) -> str:
        return self.body.get("reason", "")

    @property
    def metadata(self) -> Body:
        return self.body["metadata"]

    @property
    def version(self) -> str:
        return self.metadata["resourceVersion"]


@dataclass(frozen=True, slots=True)
class Site:
    api: client.ApiClient
    namespace: str
    fake: FakeCluster | None

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        """Where objects of a kind, given as group, version and plural, are in this test's namespace."""
        api_version, plural = kind.rsplit("/", 1)
        root = "/apis" if "/" in api_version else "/api"
        parts = [root, api_version, "namespaces", self.namespace, plural, name, subresource]
        return "/".join(each for each in parts if each)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        token: str | None = None,
        **query: str,
    ) -> Answer:
        """One request through the client's own transport, whatever the answer is."""
        response = await self._request(method, path, body, content_type, token, query)
        data = await response.read()
        return Answer(response.status, json.loads(data))

    async def create(self, kind: str, body: Body, **query: str) -> Answer:
        return await self.send("POST", self.path(kind), body, **query)

    async def made(self, kind: str, body: Body) -> Answer:
        """Create something that must succeed."""
        answer = await self.create(kind, body)
        assert answer.status == 201, answer.body
        return answer

    async def get(self, kind: str, name: str) -> Answer:
        return await self.send("GET", self.path(kind, name))

    async def patch(self, kind: str, name: str, body: Any, content_type: str = MERGE, **query: str) -> Answer:
        return await self.send("PATCH", self.path(kind, name), body, content_type, **query)

    async def apply(self, kind: str, body: Body, manager: str = "first", **query: str) -> Answer:
        return await self.patch(kind, body["metadata"]["name"], body, APPLY, fieldManager=manager, **query)

    async def delete(self, kind: str, name: str, **options: Any) -> Answer:
        return await self.send("DELETE", self.path(kind, name), options or None)

    @asynccontextmanager
    async def watching(self, kind: str, **query: str) -> AsyncIterator["Stream"]:
        response = await self._request(
            "GET", self.path(kind), None, "application/json", None, {"watch": "true", **query}
        )
        assert response.status == 200, await response.read()
        try:
            yield Stream(response.response)
        finally:
            response.response.close()

    async def _request(
        self, method: str, path: str, body: Any, content_type: str, token: str | None, query: dict[str, str]
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        await self.api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        tail = f"?{urlencode(query)}" if query else ""
        return await self.api.rest_client.request(
            method,
            f"{self.api.configuration.host}{path}{tail}",
            headers=headers,
            body=body,
            _request_timeout=_PATIENCE_SECONDS,
        )

    async def until(self, holds: Callable[[], Awaitable[Any]]) -> Any:
        """The first true answer to a question."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not (found := await holds()):  # noqa: ASYNC110  # a server far away tells nobody
                await asyncio.sleep(0.02)
        return found

    async def until_gone(self, kind: str, name: str) -> None:
        async def gone() -> bool:
            return (await self.get(kind, name)).status == 404

        await self.until(gone)

    async def let_go(self) -> None:
        """Take the finalizers from what is left, so that the namespace can go."""
        for kind in (VMIS, SETS, DATA_VOLUMES, CONFIG_MAPS, SECRETS):
            for each in (await self.send("GET", self.path(kind))).body.get("items", ()):
                if each["metadata"].get("finalizers"):
                    name = each["metadata"]["name"]
                    await self.patch(kind, name, {"metadata": {"finalizers": None}})

    def need_schemas(self) -> None:
        """A real server always checks them; the fake where the definitions lie beside the repository."""
        if self.fake is not None and definitions_folder() is None:
            pytest.skip("the definitions of KubeVirt are not on this machine")


class Stream:
    """The events of a watch."""

    def __init__(self, response: Any) -> None:
        self._response = response

    async def next(self) -> Body | None:
        """The next event, or None when the stream has ended."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            line = await self._response.content.readline()
        return json.loads(line) if line else None

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Kinds and names of the next events that are no bookmarks."""
        found: list[tuple[str, str]] = []
        while len(found) < count:
            event = await self.next()
            assert event is not None, f"the stream ended after {found}"
            if event["type"] != "BOOKMARK":
                found.append((event["type"], event["object"]["metadata"].get("name", "")))
        return found

    async def rest(self) -> list[Body]:
        """Every event until the stream ends."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


def vmi(name: str, **metadata: Any) -> Body:
    """The least VMI that every server takes."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, **metadata},
        "spec": {"domain": {"devices": {}, "resources": {"requests": {"memory": "64Mi"}}}},
    }


def replica_set(name: str, replicas: int = 0, **metadata: Any) -> Body:
    """A custom object that no controller touches, not even on a cluster with KubeVirt: it is paused."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceReplicaSet",
        "metadata": {"name": name, **metadata},
        "spec": {
            "paused": True,
            "replicas": replicas,
            "selector": {"matchLabels": {"set": name}},
            "template": {
                "metadata": {"labels": {"set": name}},
                "spec": {"domain": {"devices": {}, "resources": {"requests": {"memory": "64Mi"}}}},
            },
        },
    }


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": data or {},
    }


def owned_by(owner: Answer, **more: Any) -> list[Body]:
    """References to an owner, as an object's metadata has them."""
    body = owner.body
    return [
        {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "name": body["metadata"]["name"],
            "uid": body["metadata"]["uid"],
            **more,
        }
    ]
