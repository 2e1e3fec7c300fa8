"""What the fake API server does for each verb: the rules of a real one, on the store.

Called by the server with a request already taken apart, and by the fake controllers, which write as users of the cluster do.
"""

import base64
import copy
import random
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.support.kubernetes import admission
from tests.support.kubernetes.catalog import NAMESPACES, SECRETS, Resource
from tests.support.kubernetes.fields import (
    Leaves,
    Manager,
    Managers,
    after_apply,
    after_update,
    conflicts,
    dotted,
    leaves,
)
from tests.support.kubernetes.refusals import (
    bad_request,
    conflict,
    forbidden,
    invalid,
    manager_conflict,
    not_found,
)
from tests.support.kubernetes.schemas import Checked, check
from tests.support.kubernetes.store import Body, Store, Stored, timestamp

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_ALPHABET = string.digits + string.ascii_lowercase
# What a client may say of these is not heard.
_SYSTEM_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "resourceVersion",
    "selfLink",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a request says beside the object."""

    manager: str = "unknown"
    strict: bool = False
    dry_run: bool = False
    force: bool = False
    by_kubevirt: bool = False
    """Whether KubeVirt itself writes, which may change what users may not."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    uid: str | None = None
    resource_version: str | None = None
    policy: str = "Background"
    dry_run: bool = False


class Verbs:
    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, resource: Resource, namespace: str, body: Body, options: Options) -> Body:
        body = self._named(resource, namespace, body)
        name = body["metadata"]["name"]
        if resource.namespaced:
            self._check_namespace(resource, namespace, name)
        if resource.status:
            body = {key: value for key, value in body.items() if key != "status"}
        if resource is NAMESPACES:
            body["status"] = {"phase": "Active"}
        body = self._checked(resource, body, options)
        body = admission.on_create(resource, body, by_kubevirt=options.by_kubevirt)
        managers = after_update({}, None, body, Manager(options.manager, "Update"))
        return self._add(resource, body, managers, options)

    def _add(self, resource: Resource, body: Body, managers: Managers, options: Options) -> Body:
        if options.dry_run:
            if self.store.find(resource, body["metadata"].get("namespace", ""), body["metadata"]["name"]):
                self.store.add(resource, body, managers)
            metadata = {**body["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}
            return {**body, "metadata": {**metadata, "creationTimestamp": timestamp()}}
        return self.store.add(resource, body, managers)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Body], Body],
        options: Options,
        subresource: str = "",
        *,
        whole: bool = False,
    ) -> Body:
        """A PUT or a patch: `change` makes the new object of the present one. `whole` tells a PUT."""
        stored = self.store.get(resource, namespace, name)
        wanted = change(copy.deepcopy(stored.body))
        metadata = wanted.get("metadata", {})
        if metadata.get("name", name) != name:
            raise bad_request("the name of the object does not match the name on the URL")
        version, present = metadata.get("resourceVersion"), stored.body["metadata"]["resourceVersion"]
        if whole and resource.custom and not version:
            raise invalid(
                resource,
                name,
                [
                    (
                        "metadata.resourceVersion",
                        "FieldValueInvalid",
                        "Invalid value: 0: must be specified for an update",
                    )
                ],
            )
        if version and version != present:
            raise conflict(
                resource,
                name,
                "the object has been modified; please apply your changes to the latest version and try again",
            )
        uid = metadata.get("uid")
        if uid and uid != stored.uid:
            raise conflict(
                resource,
                name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored.uid}",
            )
        body = self._settled(stored, wanted, options, subresource)
        managers = after_update(
            stored.managers, stored.body, body, Manager(options.manager, "Update", subresource)
        )
        return self._replace(stored, body, managers, options)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Body,
        options: Options,
        subresource: str = "",
    ) -> tuple[Body, bool]:
        """Server-side apply; says also whether the object was created by it."""
        metadata = body.get("metadata", {})
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if metadata.get("name", name) != name:
            raise bad_request("the name of the object does not match the name on the URL")
        who = Manager(options.manager, "Apply", subresource)
        stored = self.store.find(resource, namespace, name)
        if stored is None:
            if subresource or metadata.get("uid"):
                raise not_found(resource, name)
            body = self._named(resource, namespace, {**body, "metadata": {**metadata, "name": name}})
            if resource.namespaced:
                self._check_namespace(resource, namespace, name)
            if resource.status:
                body = {key: value for key, value in body.items() if key != "status"}
            body = self._checked(resource, body, options)
            mine: Managers = {who: frozenset(leaves(body))}
            body = admission.on_create(resource, body, by_kubevirt=options.by_kubevirt)
            return self._add(resource, body, mine, options), True
        version = metadata.get("resourceVersion")
        if version and version != stored.body["metadata"]["resourceVersion"]:
            raise conflict(resource, name, "the object has been modified")
        wanted = self._wished(stored, body, options, subresource)
        against = conflicts(stored.managers, stored.body, wanted, who)
        if against and not options.force:
            raise manager_conflict(resource, [(manager.name, dotted(path)) for manager, path in against])
        changed, managers = after_apply(stored.managers, stored.body, wanted, who)
        settled = self._settled(stored, changed, options, subresource)
        return self._replace(stored, settled, managers, options), False

    def _wished(self, stored: Stored, body: Body, options: Options, subresource: str) -> Leaves:
        wished = self._pruned(stored.resource, body, options).body
        wanted = leaves(wished)
        if stored.resource.status:
            kept = {"status"} if subresource == "status" else set(wished) - {"status"}
            wanted = {path: value for path, value in wanted.items() if path[0] in kept}
        return wanted

    def _settled(self, stored: Stored, wanted: Body, options: Options, subresource: str) -> Body:
        """The wanted object with everything that this request can't change as it was."""
        resource, before = stored.resource, stored.body
        name = before["metadata"]["name"]
        if subresource == "status":
            wanted = {**before, **({"status": wanted["status"]} if "status" in wanted else {})}
        elif resource.status:
            wanted = {key: value for key, value in wanted.items() if key != "status"}
            if "status" in before:
                wanted["status"] = before["status"]
        metadata = {
            key: value for key, value in wanted.get("metadata", {}).items() if key not in _SYSTEM_METADATA
        }
        metadata |= {
            key: before["metadata"][key]
            for key in (*_SYSTEM_METADATA, "namespace", "name")
            if key in before["metadata"]
        }
        metadata = {key: value for key, value in metadata.items() if value not in (None, {}, [])}
        new = set(metadata.get("finalizers", ())) - set(before["metadata"].get("finalizers", ()))
        if "deletionTimestamp" in metadata and new:
            raise invalid(
                resource,
                name,
                [
                    (
                        "metadata.finalizers",
                        "FieldValueForbidden",
                        f"Forbidden: no new finalizers while it is being deleted: {sorted(new)}",
                    )
                ],
            )
        body = self._checked(
            resource,
            {**wanted, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata},
            options,
        )
        admission.on_update(resource, before, body, by_kubevirt=options.by_kubevirt)
        if resource.counts_generations and _counted(resource, body) != _counted(resource, before):
            body["metadata"]["generation"] = before["metadata"]["generation"] + 1
        return body

    def _replace(self, stored: Stored, body: Body, managers: Managers, options: Options) -> Body:
        if options.dry_run:
            return body
        metadata = body["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self.store.remove(Stored(stored.resource, body, managers))
            return body
        return self.store.replace(stored, body, managers)

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Body, bool]:
        """The object as it was last, and whether it is gone already."""
        stored = self.store.get(resource, namespace, name)
        metadata = stored.body["metadata"]
        for what, wanted, present in (
            ("UID", options.uid, stored.uid),
            ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted is not None and wanted != present:
                raise conflict(
                    resource,
                    name,
                    f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {present}",
                )
        finalizers = list(metadata.get("finalizers", ()))
        waits_for = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.policy)
        if waits_for and waits_for not in finalizers and "deletionTimestamp" not in metadata:
            finalizers.append(waits_for)
        if resource is NAMESPACES and "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        if options.dry_run:
            return stored.body, not finalizers
        if not finalizers:
            return self.store.remove(stored), True
        if "deletionTimestamp" in metadata:
            return stored.body, False
        metadata = {
            **metadata,
            "finalizers": finalizers,
            "deletionTimestamp": timestamp(),
            "deletionGracePeriodSeconds": 0,
        }
        if resource.counts_generations:
            metadata["generation"] += 1
        body = {**stored.body, "metadata": metadata}
        if resource is NAMESPACES:
            body["status"] = {"phase": "Terminating"}
        return self.store.replace(stored, body), False

    def scale(self, resource: Resource, stored: Stored) -> Body:
        metadata = stored.body["metadata"]
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {
                key: metadata[key]
                for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
                if key in metadata
            },
            "spec": {"replicas": stored.body["spec"].get("replicas", 0)},
            "status": {"replicas": stored.body.get("status", {}).get("replicas", 0)},
        }

    def _named(self, resource: Resource, namespace: str, body: Body) -> Body:
        if not resource.custom:
            # Of a built-in kind the path says what it is.
            body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        if body.get("apiVersion") != resource.api_version or body.get("kind") != resource.kind:
            raise bad_request(
                f"the API version in the data ({body.get('apiVersion')}) does not match the expected API version "
                f"({resource.api_version}), or the kind {body.get('kind')!r} is not {resource.kind!r}"
            )
        metadata = {
            key: value
            for key, value in (body.get("metadata") or {}).items()
            if key not in _SYSTEM_METADATA and value not in (None, {}, [])
        }
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        name = metadata.get("name", "")
        if not name and (prefix := metadata.get("generateName")):
            # The names of generated objects must differ, nothing more.
            name = prefix + "".join(random.choices(_ALPHABET, k=5))
        if not _NAME.match(name) or len(name) > 253:
            why = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters'
            if not name:
                why = "Required value: name or generateName is required"
            raise invalid(resource, name, [("metadata.name", "FieldValueInvalid", why)])
        metadata["name"] = name
        if resource.namespaced:
            metadata["namespace"] = namespace
        return {**copy.deepcopy(body), "metadata": copy.deepcopy(metadata)}

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.find(NAMESPACES, "", namespace)
        if found is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in found.body["metadata"]:
            raise forbidden(
                resource,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )

    def _pruned(self, resource: Resource, body: Body, options: Options) -> Checked:
        checked = check(resource, body)
        if options.strict and checked.unknown:
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                "strict decoding error: " + ", ".join(f'unknown field "{each}"' for each in checked.unknown)
            )
        return replace(checked, body=_with_plain_secret(checked.body)) if resource is SECRETS else checked

    def _checked(self, resource: Resource, body: Body, options: Options) -> Body:
        checked = self._pruned(resource, body, options)
        if checked.causes:
            raise invalid(resource, checked.body["metadata"]["name"], checked.causes)
        return checked.body


def _counted(resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an object whose changes its generation counts."""
    left_out = {"metadata", "status"} if resource.status else {"metadata"}
    return {key: value for key, value in body.items() if key not in left_out}


def _with_plain_secret(body: Body) -> Body:
    """What a secret was given as text is kept as data."""
    texts = body.pop("stringData", None) or {}
    data = {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
    return {
        **body,
        "type": body.get("type", "Opaque"),
        **({"data": {**body.get("data", {}), **data}} if data else {}),
    }
