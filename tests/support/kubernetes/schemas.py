"""Objects held against the schema of their definition: unknown fields dropped or named, defaults filled in, faults found.

The definitions don't close their objects; the API server prunes what they don't name. So pruning is a walk along the schema, and
what is left goes to `jsonschema`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from tests.support.kubernetes.catalog import Resource, definitions_folder
from tests.support.kubernetes.refusals import Cause

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_METADATA = frozenset(
    [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "labels",
        "annotations",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "managedFields",
        "selfLink",
    ]
)
_REASONS = {
    "type": "FieldValueTypeInvalid",
    "required": "FieldValueRequired",
    "enum": "FieldValueNotSupported",
}
# Of built-in kinds that have more than a spec and a status, the fields at the top.
_BUILT_IN_FIELDS = {
    "configmaps": {"data", "binaryData", "immutable"},
    "secrets": {"data", "stringData", "type", "immutable"},
    "serviceaccounts": {"secrets", "imagePullSecrets", "automountServiceAccountToken"},
    "roles": {"rules"},
    "clusterroles": {"rules", "aggregationRule"},
    "rolebindings": {"subjects", "roleRef"},
    "clusterrolebindings": {"subjects", "roleRef"},
}
_OPEN_KINDS = frozenset({"events", "storageclasses"})


@dataclass(frozen=True, slots=True)
class Checked:
    """An object as it would be stored, and what is wrong with the one that came."""

    body: dict[str, Any]
    unknown: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()


def check(resource: Resource, body: Mapping[str, Any]) -> Checked:
    """Prune, fill in defaults, validate. Without the definitions only what needs none is checked."""
    unknown: list[str] = [f"metadata.{name}" for name in body.get("metadata", {}) if name not in _METADATA]
    metadata = {name: value for name, value in body.get("metadata", {}).items() if name in _METADATA}
    schema, validator = schema_of(resource)
    if schema is None:
        kept = dict(body)
        if not resource.custom and resource.plural not in _OPEN_KINDS:
            known = _BUILT_IN_FIELDS.get(resource.plural, {"spec", "status"}) | {
                "apiVersion",
                "kind",
                "metadata",
            }
            unknown += [name for name in body if name not in known]
            kept = {name: value for name, value in body.items() if name in known}
        return Checked({**kept, "metadata": metadata}, tuple(unknown))
    pruned = _prune({**body, "metadata": {}}, schema, "", unknown)
    causes = tuple(_cause(each) for each in validator.iter_errors(pruned)) if validator is not None else ()
    return Checked({**pruned, "metadata": metadata}, tuple(unknown), causes)


@cache
def schema_of(resource: Resource) -> tuple[dict[str, Any] | None, Draft7Validator | None]:
    folder = definitions_folder()
    if folder is None or not resource.custom:
        return None, None
    text = (folder / f"{resource.full_name}.yaml").read_text(encoding="utf-8")
    definition = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for version in definition["spec"]["versions"]:
        if version["name"] == resource.version:
            schema = version["schema"]["openAPIV3Schema"]
            return schema, Draft7Validator(_plain(schema))
    return None, None


def _plain(schema: Any) -> Any:
    """The schema in words that `jsonschema` knows."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {}
    for word, value in schema.items():
        if word in ("properties", "patternProperties"):
            plain[word] = {name: _plain(each) for name, each in value.items()}
        elif word in ("default", "enum", "example"):
            plain[word] = value
        else:
            plain[word] = _plain(value)
    if plain.pop("x-kubernetes-int-or-string", False):
        plain.pop("type", None)
        plain["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if plain.pop("nullable", False) and "type" in plain:
        plain["type"] = [plain["type"], "null"]
    return plain


def _prune(value: Any, schema: Mapping[str, Any], path: str, unknown: list[str]) -> Any:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_prune(each, items, f"{path}[{number}]", unknown) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    kept = {}
    for name, each in value.items():
        inner = f"{path}.{name}" if path else name
        if not path and name in ("apiVersion", "kind", "metadata"):
            kept[name] = each
        elif name in properties:
            if each is None and not properties[name].get("nullable"):
                continue
            kept[name] = _prune(each, properties[name], inner, unknown)
        elif isinstance(others, Mapping):
            kept[name] = _prune(each, others, inner, unknown)
        elif others is True or schema.get(_PRESERVE):
            kept[name] = each
        else:
            unknown.append(inner)
    for name, inner_schema in properties.items():
        if name not in kept and "default" in inner_schema:
            kept[name] = inner_schema["default"]
    return kept


def _cause(error: ValidationError) -> Cause:
    path = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in error.absolute_path)
    reason = _REASONS.get(str(error.validator), "FieldValueInvalid")
    if error.validator == "required":
        missing = next((each for each in error.validator_value if each not in error.instance), "")
        return f"{path}.{missing}".lstrip("."), reason, "Required value"
    shown = f"{path.lstrip('.')} in body {error.message}"
    return path.lstrip("."), reason, f"Invalid value: {error.instance!r}: {shown}"
