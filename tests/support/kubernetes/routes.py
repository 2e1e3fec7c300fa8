"""From a request's method and path to a verb and what it is about."""

from collections.abc import Mapping

from tests.support.kubernetes.access import Target
from tests.support.kubernetes.catalog import NAMESPACES, RESOURCES, SERVICE_ACCOUNTS, resource_at
from tests.support.kubernetes.refusals import method_not_allowed, no_such_path

_ON_ONE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ON_MANY = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


def route(method: str, path: str, params: Mapping[str, str]) -> tuple[str, Target]:
    """Verb and target; refuses paths that no real server of these definitions serves."""
    target = _target(path)
    if target.subresource == "token":
        return "create", target
    if target.name:
        verb = _ON_ONE.get(method)
        refused = verb is None or (target.subresource and verb == "delete")
    else:
        verb = _ON_MANY.get(method)
        if verb == "list" and params.get("watch", "").lower() in ("true", "1"):
            verb = "watch"
        nowhere = target.resource.namespaced and not target.namespace
        refused = (
            verb is None
            or (verb == "create" and nowhere)
            or (verb == "deletecollection" and target.resource is NAMESPACES)
        )
    if refused or verb is None:
        raise method_not_allowed()
    return verb, target


def _target(path: str) -> Target:
    match [each for each in path.split("/") if each]:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            raise no_such_path()
    namespace = ""
    match rest:
        case ["namespaces", namespace, plural, *rest]:
            pass
        case [plural, *rest]:
            pass
        case _:
            raise no_such_path()
    resource = resource_at(group, version, plural)
    if resource is None or len(rest) > 2 or (namespace and not resource.namespaced):
        raise no_such_path()
    name, subresource = (*rest, "", "")[:2]
    target = Target(resource, namespace, name, subresource)
    if (name and resource.namespaced and not namespace) or (subresource and not _serves(target)):
        raise no_such_path()
    return target


def _serves(target: Target) -> bool:
    match target.subresource:
        case "status":
            return target.resource.status
        case "scale":
            return target.resource.scale
        case "log":
            return target.resource.plural == "pods"
        case "token":
            return target.resource is SERVICE_ACCOUNTS
    return False


def discovery(path: str) -> dict[str, object] | None:
    """The few answers by which clients find out what is served; none for another path."""
    parts = [each for each in path.split("/") if each]
    match parts:
        case ["version"]:
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2-fake", "platform": "linux/amd64"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            groups = sorted({(each.group, each.version) for each in RESOURCES if each.group})
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [
                    {
                        "name": group,
                        "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                        "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                    }
                    for group, version in groups
                ],
            }
        case ["api", "v1"] | ["apis", _, _]:
            api_version = "/".join(parts[1:])
            served = [each for each in RESOURCES if each.api_version == api_version]
            return _resource_list(api_version, served) if served else None
    return None


def _resource_list(api_version: str, served: list) -> dict[str, object]:
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    shown = []
    for each in served:
        names = [each.plural, *(f"{each.plural}/{sub}" for sub in ("status", "scale") if getattr(each, sub))]
        shown += [
            {
                "name": name,
                "singularName": each.kind.lower() if "/" not in name else "",
                "namespaced": each.namespaced,
                "kind": each.kind,
                "verbs": verbs if "/" not in name else ["get", "patch", "update"],
            }
            for name in names
        ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": shown}
