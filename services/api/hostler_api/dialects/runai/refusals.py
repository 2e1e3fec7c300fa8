"""Fields of Run:ai's API that Hostler can't honour: a value that asks for something is refused, none is ignored.

Null, empty lists, items that are excluded and the documented defaults ask for nothing, so they are always accepted.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydantic import JsonValue

from hostler_api.dialects.runai.bodies import CommonSpecBody, CreationBody, SpecBody
from hostler_domain.errors import FieldError

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "command": "Hostler starts the runtime itself: name the model and its parameters in args",
        "createHomeDir": "replicas have no users",
        "exposedUrls": "the one endpoint is the router's",
        "imagePullPolicy": "images are kept by their digest, so there is nothing to choose",
        "imagePullSecrets": "images of private registries are not supported",
        "nodeAffinityRequired": "choose machines by nodePools or nodeType",
        "podAffinity": "replicas are placed by Hostler's scheduler",
        "ports": "the one endpoint is the router's",
        "probes": "Hostler knows the health check of each runtime",
        "relatedUrls": "they are not kept",
        "security": "each replica has a machine of its own",
        "storage": "replicas have no volumes of the user's; weights are Hostler's matter",
        "templateId": "there are no templates; a model master holds what they would",
        "tolerations": "choose machines by nodePools or nodeType",
        "workingDir": "Hostler starts the runtime itself",
    }
)
_DEFAULTS: Mapping[str, tuple[JsonValue, ...]] = MappingProxyType(
    {
        "createHomeDir": (False,),
        "imagePullPolicy": ("IfNotPresent",),
        "probes.readiness.handler.httpGet.path": ("/",),
        "security.readOnlyRootFilesystem": (False,),
        "security.runAsNonRoot": (False,),
        "security.uidGidSource": ("fromTheImage",),
    }
)


def refused_fields(spec: CommonSpecBody) -> Iterator[FieldError]:
    """Every field of a spec that asks for what Hostler does not have."""
    given = spec.model_dump(by_alias=True, mode="json")
    for name in _REASONS:
        if name in given:
            yield from _refused(name, given[name])
    compute = spec.compute
    if compute is not None:
        if asks("compute.largeShmRequest", compute.large_shm_request, (False,)):
            yield FieldError("compute.largeShmRequest", "can't be had: a machine's memory is its own already")
        if asks("compute.extendedResources", compute.extended_resources):
            yield FieldError("compute.extendedResources", "can't be had: profiles name whole machines")
    if isinstance(spec, SpecBody) and spec.serving_port is not None:
        port = spec.serving_port
        for name, value in (
            ("authorizedUsers", port.authorized_users),
            ("authorizedGroups", port.authorized_groups),
        ):
            if asks(f"servingPort.{name}", value):
                yield FieldError(
                    f"servingPort.{name}", "can't be had: who may call is decided by API keys, not users"
                )
        if asks("servingPort.clusterLocalAccessOnly", port.cluster_local_access_only, (False,)):
            yield FieldError(
                "servingPort.clusterLocalAccessOnly", "can't be had: every endpoint is the router's"
            )
    yield from _refused_sources(spec)


def refused_creation(body: CreationBody) -> Iterator[FieldError]:
    """The same for a whole request."""
    yield from _refused("templateId", body.template_id)
    if body.spec is not None:
        yield from refused_fields(body.spec)


def asks(path: str, value: JsonValue, defaults: tuple[JsonValue, ...] = ()) -> bool:
    """Whether a value asks for anything.

    Args:
        path: Dotted path of the field.
        value: What was given.
        defaults: Values that are the default here, besides those that are known by path.
    """
    if isinstance(value, dict):
        if value.get("exclude") is True:
            return False
        return any(asks(f"{path}.{name}", each) for name, each in value.items())
    if isinstance(value, list):
        return any(asks(path, each) for each in value)
    # False equals 0 to Python, and 0 may ask for something (to run as root, say).
    known = (*defaults, *_DEFAULTS.get(path, ()))
    return value is not None and not any(value == each and type(value) is type(each) for each in known)


def _refused(name: str, value: JsonValue) -> Iterator[FieldError]:
    reason = f"can't be had: {_REASONS[name]}"
    if isinstance(value, dict):
        yield from (
            FieldError(f"{name}.{key[:63]}", reason)
            for key, each in value.items()
            if asks(f"{name}.{key}", each)
        )
    elif asks(name, value):
        yield FieldError(name, reason)


def _refused_sources(spec: CommonSpecBody) -> Iterator[FieldError]:
    for number, variable in enumerate(spec.environment_variables or ()):
        if variable is None or variable.exclude:
            continue
        sources = (
            ("secret", variable.secret),
            ("configMap", variable.config_map),
            ("podFieldRef", variable.pod_field_ref),
            ("userCredential", variable.user_credential),
        )
        for name, value in sources:
            if asks(name, value):
                yield FieldError(
                    f"environmentVariables.{number}.{name}",
                    "can't be had: there is no cluster to read it from; give a value",
                )
