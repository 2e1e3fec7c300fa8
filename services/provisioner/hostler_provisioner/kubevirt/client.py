"""The Kubernetes API in the few verbs that the backend needs, over `kubernetes.aio`, which brings authentication and TLS.

Requests and answers are JSON, not the package's models: those know neither KubeVirt nor CDI, and their call for custom objects
returns None when an apply creates (it knows only the answer 200). Every call has a deadline, at most so many run at once, and
when the server answers 429 all of them wait as long as it asks. What it raises is in `errors.py`.

Importing this module costs 2 s and 60 MB, so nothing that a laptop runs may do so.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.rest import RESTResponse

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.clock import Clock
from hostler_provisioner.kubevirt.errors import NotThere, of_answer
from hostler_provisioner.kubevirt.reading import JsonObject, items, text
from hostler_provisioner.kubevirt.resources import Resource

FIELD_MANAGER: Final = "hostler-provisioner"
_PAGE: Final = 500
_RETRY_AFTER_SECONDS: Final = 1.0
_RETRY_AFTER_SECONDS_MAX: Final = 600.0
_JSON: Final = "application/json"
_APPLY: Final = "application/apply-patch+yaml"

Query = Mapping[str, str]


class Client:
    """Calls one API server.

    Attributes:
        namespace: Where all of the backend's objects lie.
        contact_at: Monotonic time of the latest answer that was not a failure of the server itself; None before the first.
    """

    def __init__(
        self,
        api: kubernetes_client.ApiClient,
        *,
        namespace: str,
        clock: Clock,
        timeout_seconds: float,
        requests_max: int,
    ) -> None:
        self.namespace = namespace
        self.contact_at: float | None = None
        self._api = api
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(requests_max)
        self._not_before = 0.0

    async def get(self, resource: Resource, name: str) -> JsonObject | None:
        """The object of this name, or None."""
        try:
            return await self._json("GET", resource.path(self.namespace, name))
        except NotThere:
            return None

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Make an object.

        Raises:
            AlreadyExists: there is one of this name.
        """
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER}
        return await self._json("POST", resource.path(self.namespace), query, manifest)

    async def apply(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Make an object, or bring the one of this name in line; the same again changes nothing.

        Raises:
            Conflicting: another manager has set one of its fields.
        """
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER}
        path = resource.path(self.namespace, text(manifest, "metadata", "name"))
        return await self._json("PATCH", path, query, manifest, content_type=_APPLY)

    async def delete(
        self,
        resource: Resource,
        name: str,
        uid: str,
        *,
        foreground: bool = False,
        grace_seconds: int | None = None,
    ) -> None:
        """Begin to delete the object with this UID; nothing when it is gone.

        Raises:
            Conflicting: the object of this name is another.
        """
        options: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Foreground" if foreground else "Background",
        }
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._json("DELETE", resource.path(self.namespace, name), {}, options)
        except NotThere:
            return

    async def listed(
        self, resource: Resource, *, selector: str = "", everywhere: bool = False
    ) -> tuple[tuple[JsonObject, ...], str]:
        """Every object that `selector` selects, and the resource version of the list, to watch from."""
        found: list[JsonObject] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        path = resource.path("" if everywhere else self.namespace)
        token, version = "", ""
        while True:
            page = await self._json("GET", path, query | ({"continue": token} if token else {}))
            found.extend(items(page, "items"))
            version = text(page, "metadata", "resourceVersion")
            token = text(page, "metadata", "continue")
            if not token:
                return tuple(found), version

    async def ping(self, resource: Resource) -> None:
        """Make the server say anything at all, as cheaply as can be."""
        await self._json("GET", resource.path(self.namespace), {"limit": "1"})

    async def watch(
        self, resource: Resource, *, selector: str, version: str, seconds: int
    ) -> AsyncGenerator[JsonObject, None]:
        """What happens after `version`, for at most `seconds`: events with `type` and `object`.

        Raises:
            Expired: `version` is too old, be it said by the status or within the stream.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "labelSelector": selector,
        }
        # One that says nothing at all beyond its own end is dead, and the connection only looks alive.
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeout_seconds, sock_read=seconds + self._timeout_seconds
        )
        await self._gate()
        response = await self._send("GET", resource.path(self.namespace), query, None, _JSON, limits)
        try:
            async with aclosing(_lines(response.response)) as lines:
                async for line in lines:
                    self.contact_at = self._clock.monotonic()
                    event = _object(line)
                    if text(event, "type") == "ERROR":
                        raise _refusal(event.get("object"), 500, None)
                    yield event
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TemporaryError(f"a watch broke off: {type(error).__name__}") from error
        finally:
            response.response.close()

    async def pod_log(self, pod: str, container: str, query: Query) -> str | None:
        """What a container wrote; None when there is no such pod or container."""
        path = f"{_POD.path(self.namespace, pod)}/log"
        try:
            body = await self._call("GET", path, {"container": container, **query}, None, _JSON)
        except NotThere:
            return None
        except PermanentError:
            # A container that has not started is a bad request to the API server.
            return None
        return body.decode("utf-8", "replace")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._api.close()

    async def _json(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: JsonObject | None = None,
        *,
        content_type: str = _JSON,
    ) -> JsonObject:
        return _object(await self._call(method, path, query or {}, body, content_type))

    async def _call(
        self, method: str, path: str, query: Query, body: JsonObject | None, content_type: str
    ) -> bytes:
        async with self._slots:
            await self._gate()
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    limits = aiohttp.ClientTimeout(total=self._timeout_seconds)
                    response = await self._send(method, path, query, body, content_type, limits)
                    data: bytes = await response.read()
                    return data
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                # Whether it was carried out is unknown: every caller looks again before it acts again.
                raise TemporaryError(f"{method} {path}: {type(error).__name__} {error}".strip()) from error

    async def _gate(self) -> None:
        """Wait while the server has asked for a pause."""
        while (pause := self._not_before - self._clock.monotonic()) > 0:
            await self._clock.sleep(pause)

    async def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: JsonObject | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> RESTResponse:
        headers = {"Accept": _JSON, "Content-Type": content_type}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        tail = f"?{urlencode(query)}" if query else ""
        url = f"{self._api.configuration.host}{path}{tail}"
        try:
            response: RESTResponse = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=limits
            )
            if response.status < 500:
                self.contact_at = self._clock.monotonic()
            if response.status < 300:
                return response
            data = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TemporaryError(f"{method} {path}: {type(error).__name__} {error}".strip()) from error
        pause = _seconds(response.headers.get("Retry-After"))
        if response.status == 429:
            pause = _RETRY_AFTER_SECONDS if pause is None else pause
            self._not_before = max(self._not_before, self._clock.monotonic() + pause)
        raise _refusal(_object(data), response.status, pause)


_POD: Final = Resource("", "v1", "pods", "Pod")


async def connect(
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    clock: Clock,
    timeout_seconds: float,
    requests_max: int,
) -> Client:
    """A client by this kubeconfig, or, where none is given, as a pod of the cluster.

    Raises:
        PermanentError: neither says where the cluster is.
    """
    configuration = kubernetes_client.Configuration()
    try:
        if kubeconfig is None:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
        else:
            await kubernetes_config.load_kube_config(
                config_file=str(kubeconfig), context=context, client_configuration=configuration
            )
    except (kubernetes_config.ConfigException, OSError) as error:
        raise PermanentError(f"can't tell where the cluster is: {error}") from error
    # Watches hold their connection beside those of the calls.
    configuration.connection_pool_maxsize = requests_max + 16
    return Client(
        kubernetes_client.ApiClient(configuration),
        namespace=namespace,
        clock=clock,
        timeout_seconds=timeout_seconds,
        requests_max=requests_max,
    )


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Lines of any length: the reader's own refuses one that is longer than its buffer."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        rest += chunk
        *whole, last = rest.split(b"\n")
        rest = bytearray(last)
        for line in whole:
            if line.strip():
                yield bytes(line)


def _object(data: bytes) -> JsonObject:
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        return {"message": data[:200].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {}


def _refusal(body: object, status: int, retry_after_seconds: float | None) -> Exception:
    """The error that a `Status` object tells of."""
    said = body if isinstance(body, Mapping) else {}
    code = said.get("code")
    return of_answer(
        code if isinstance(code, int) and code else status,
        text(said, "reason"),
        text(said, "message")[:500],
        retry_after_seconds=retry_after_seconds,
    )


def _seconds(header: str | None) -> float | None:
    """A Retry-After in seconds; the form with a date is not used by API servers."""
    if header is None or not header.strip().isdecimal():
        return None
    return min(float(header), _RETRY_AFTER_SECONDS_MAX)
