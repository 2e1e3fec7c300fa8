"""The fake API server on its port: requests in, the rules of `verbs`, `listing` and `watching`, answers out, faults in between.

In a test's own loop it is `FakeCluster` (see `cluster`); as its own process it is `python -m tests.support.kubernetes`.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import yaml
from aiohttp import web

from tests.support.kubernetes.access import Access, Target
from tests.support.kubernetes.faults import WATCH_KINDS, Fault, Faults
from tests.support.kubernetes.journal import Asked
from tests.support.kubernetes.listing import Lister
from tests.support.kubernetes.patches import APPLY, JSON, MERGE, STRATEGIC, json_patch, merge
from tests.support.kubernetes.refusals import Refusal, bad_request, injected, unsupported_media
from tests.support.kubernetes.routes import discovery, route
from tests.support.kubernetes.store import Body, Store
from tests.support.kubernetes.verbs import DeleteOptions, Options, Verbs
from tests.support.kubernetes.watching import Watch, gone_event

_HANG_SECONDS = 3600.0
LogReader = Callable[[str, str], str]
"""The log of a pod, by namespace and name."""


class ApiServer:
    def __init__(self, store: Store, access: Access, faults: Faults, *, bookmark_seconds: float) -> None:
        self.verbs = Verbs(store)
        self.gone_as_status = False
        """Whether a watch from too old a revision is refused with the status 410, instead of an event in a 200 stream."""
        self.read_log: LogReader = lambda namespace, name: ""
        self._store = store
        self._access = access
        self._faults = faults
        self._lister = Lister(store)
        self._bookmark_seconds = bookmark_seconds
        self._watches: list[tuple[web.Request, Watch]] = []
        self.errors: list[BaseException] = []

    def cut_watches(self) -> None:
        """Reset the connection of every watch that is open now."""
        for request, _ in self._watches:
            if request.transport is not None:
                request.transport.abort()

    def end_watches(self) -> None:
        """End every watch that is open now, as if its time were over."""
        for _, watch in self._watches:
            watch.end()
        self._store.wake()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request that is not for the judge."""
        began = time.monotonic()
        about = _About()
        try:
            response = await self._answer(request, about)
        except Refusal as refusal:
            response = web.json_response(refusal.body(), status=refusal.status, headers=refusal.headers)
        except (ConnectionResetError, asyncio.CancelledError):
            self._note(about, 0, began)
            raise
        except Exception as error:
            # A fault of the fake itself must not pass for one of the cluster that it stands for.
            self.errors.append(error)
            raise
        self._note(about, 0 if about.cut else response.status, began)
        return response

    def _note(self, about: "_About", status: int, began: float) -> None:
        target = about.target
        if target is None:
            return
        subresource = f"/{target.subresource}" if target.subresource else ""
        now = time.monotonic()
        self._store.journal.add(
            Asked(
                self._store.revision,
                now,
                about.verb,
                target.resource.full_name + subresource,
                target.namespace,
                target.name,
                status,
                round((now - began) * 1000, 1),
                about.user,
                about.fault.kind if about.fault else None,
            )
        )

    async def _answer(self, request: web.Request, about: "_About") -> web.StreamResponse:
        if request.path in ("/healthz", "/readyz", "/livez"):
            return web.Response(text="ok")
        about.user = self._access.user_of(request.headers.get("Authorization"))
        if request.method == "GET" and (found := discovery(request.path)) is not None:
            return web.json_response(found)
        about.verb, about.target = route(request.method, request.path, request.query)
        target = about.target
        about.fault = fault = self._faults.pick(about.verb, target.resource.plural, target.name)
        if fault is not None and fault.kind not in WATCH_KINDS:
            await self._suffer(request, fault, about)
        self._access.check(about.user, about.verb, target)
        match about.verb:
            case "watch":
                return await self._watch(request, target, about)
            case "list":
                response = web.json_response(
                    self._lister.page(target.resource, target.namespace, request.query)
                )
            case _:
                status, body = await self._act(request, about.verb, target)
                response = (
                    web.Response(text=body, status=status)
                    if isinstance(body, str)
                    else web.json_response(body, status=status)
                )
        if fault is not None and fault.kind == "reset_after":
            _cut(request, about)
        return response

    async def _suffer(self, request: web.Request, fault: Fault, about: "_About") -> None:
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "status":
                raise injected(fault.status, fault.retry_after, fault.reason)
            case "hang":
                await asyncio.sleep(fault.seconds or _HANG_SECONDS)
                _cut(request, about)
                raise ConnectionResetError("hung")
            case "reset":
                _cut(request, about)
                raise ConnectionResetError("reset")

    async def _act(self, request: web.Request, verb: str, target: Target) -> tuple[int, Body | str]:
        resource, namespace, name, subresource = (
            target.resource,
            target.namespace,
            target.name,
            target.subresource,
        )
        if subresource == "log":
            self._store.get(resource, namespace, name)
            return 200, self.read_log(namespace, name)
        if subresource == "token":
            self._store.get(resource, namespace, name)
            token = self._access.token_for(f"system:serviceaccount:{namespace}:{name}")
            return 201, {
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"audiences": [], "expirationSeconds": 3600},
                "status": {"token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"},
            }
        if subresource == "scale":
            return 200, await self._scale(request, verb, target)
        match verb:
            case "get":
                return 200, self._store.get(resource, namespace, name).body
            case "create":
                return 201, self.verbs.create(resource, namespace, await _json(request), _options(request))
            case "update":
                body = await _json(request)
                options = _options(request)
                return 200, self.verbs.update(
                    resource, namespace, name, lambda _: body, options, subresource, whole=True
                )
            case "patch":
                return await self._patch(request, target)
            case "delete":
                options = await _delete_options(request)
                last, gone = self.verbs.delete(resource, namespace, name, options)
                return 200, _deleted(target, last) if gone else last
        options = await _delete_options(request)
        listed = self._lister.page(resource, namespace, request.query)
        for each in listed["items"]:
            metadata = each["metadata"]
            self.verbs.delete(resource, metadata.get("namespace", ""), metadata["name"], options)
        return 200, listed

    async def _patch(self, request: web.Request, target: Target) -> tuple[int, Body]:
        resource, options = target.resource, _options(request)
        where = (resource, target.namespace, target.name)
        content_type = request.content_type
        match content_type:
            case _ if content_type == APPLY:
                if "fieldManager" not in request.query:
                    raise bad_request("fieldManager is required for apply patch")
                applied = yaml.safe_load(await request.text())
                body, created = self.verbs.apply(*where, applied, options, target.subresource)
                return (201 if created else 200), body
            case _ if content_type == JSON:
                operations = await _json(request)
                return 200, self.verbs.update(
                    *where, lambda body: json_patch(body, operations), options, target.subresource
                )
            case _ if content_type == MERGE or (content_type == STRATEGIC and not resource.custom):
                patch = await _json(request)
                if not isinstance(patch, dict):
                    raise bad_request(
                        "json: cannot unmarshal array into Go value of type map[string]interface {}"
                    )
                strategic = content_type == STRATEGIC
                return 200, self.verbs.update(
                    *where, lambda body: merge(body, patch, strategic=strategic), options, target.subresource
                )
        raise unsupported_media(content_type, [JSON, MERGE, APPLY, *([] if resource.custom else [STRATEGIC])])

    async def _scale(self, request: web.Request, verb: str, target: Target) -> Body:
        resource, where = target.resource, (target.namespace, target.name)
        stored = self._store.get(resource, *where)
        if verb != "get":
            sent = await _json(request)
            before = self.verbs.scale(resource, stored)
            wanted = sent if verb == "update" else merge(before, sent)
            count = wanted["spec"]["replicas"]
            self.verbs.update(
                resource,
                *where,
                lambda body: {**body, "spec": {**body["spec"], "replicas": count}},
                _options(request),
            )
        return self.verbs.scale(resource, self._store.get(resource, *where))

    async def _watch(self, request: web.Request, target: Target, about: "_About") -> web.StreamResponse:
        watch = Watch(
            self._store,
            target.resource,
            target.namespace,
            request.query,
            bookmark_seconds=self._bookmark_seconds,
            gone_as_status=self.gone_as_status,
        )
        self._watches.append((request, watch))
        try:
            return await self._stream(request, watch, about)
        finally:
            self._watches.remove((request, watch))

    async def _stream(self, request: web.Request, watch: Watch, about: "_About") -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        fault, sent = about.fault, 0

        async def due() -> bool:
            """Whether the stream ends here by a fault."""
            if fault is None or fault.kind not in WATCH_KINDS or sent < fault.after_events:
                return False
            if fault.kind == "gone":
                await _send(response, gone_event("too old resource version: injected"))
            elif fault.kind == "drop":
                await asyncio.sleep(fault.seconds)
                _cut(request, about)
            else:
                await asyncio.sleep(fault.seconds or _HANG_SECONDS)
            return True

        if await due():
            return response
        async for event in watch.events():
            await _send(response, event)
            sent += 1
            if await due():
                return response
        return response


class _About:
    """What is learnt about a request while it is served, for the log."""

    def __init__(self) -> None:
        self.verb = ""
        self.user = ""
        self.target: Target | None = None
        self.fault: Fault | None = None
        self.cut = False


def _cut(request: web.Request, about: _About) -> None:
    """Reset the connection: the caller sees no answer, or half of one."""
    about.cut = True
    if request.transport is not None:
        request.transport.abort()


async def _send(response: web.StreamResponse, event: Body) -> None:
    await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.text())
    except ValueError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def _options(request: web.Request) -> Options:
    params = request.query
    agent = request.headers.get("User-Agent", "unknown").split("/")[0]
    return Options(
        manager=params.get("fieldManager") or agent,
        strict=params.get("fieldValidation") == "Strict",
        dry_run=params.get("dryRun") == "All",
        force=params.get("force", "").lower() == "true",
    )


async def _delete_options(request: web.Request) -> DeleteOptions:
    text = await request.text()
    body = json.loads(text) if text else {}
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        policy=body.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background",
        dry_run=request.query.get("dryRun") == "All" or body.get("dryRun") == ["All"],
    )


def _deleted(target: Target, last: Body) -> Body:
    """What a real server answers when nothing of the object is left."""
    resource = target.resource
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": target.name,
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.plural,
            "uid": last["metadata"]["uid"],
        },
    }
