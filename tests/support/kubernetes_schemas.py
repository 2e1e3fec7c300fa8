"""Checks a Kubernetes document as a server with strict field validation would: by the real schemas of KubeVirt and CDI, and by Kubernetes'
own for core objects.

The custom resource definitions are kept beside the repository, or where HOSTLER_KUBEVIRT_CRDS says; without them tests skip.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

_BESIDE = Path(__file__).parents[3] / "shared" / "kubevirt-crds"


def crds_folder() -> Path | None:
    """Where the definitions are; None where they are not."""
    folder = Path(os.environ.get("HOSTLER_KUBEVIRT_CRDS") or _BESIDE)
    return folder if (folder / "virtualmachineinstances.kubevirt.io.yaml").is_file() else None


def require_crds() -> None:
    """Skip the module that calls this where the definitions are missing."""
    if crds_folder() is None:
        pytest.skip(
            "the definitions of KubeVirt and CDI are not here: HOSTLER_KUBEVIRT_CRDS names their folder",
            allow_module_level=True,
        )


def errors_of(manifest: Mapping[str, Any]) -> list[str]:
    """What a strict server would refuse in a document; empty for one that it takes."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    if not group.endswith("kubevirt.io"):
        try:
            kubernetes_validate.validate(dict(manifest), kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            return [str(error)]
        return []
    validator = _validators()[group, version, manifest["kind"]]
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _validators() -> dict[tuple[str, str, str], Draft202012Validator]:
    folder = crds_folder()
    assert folder is not None
    found: dict[tuple[str, str, str], Draft202012Validator] = {}
    for name in ("virtualmachineinstances.kubevirt.io", "datavolumes.cdi.kubevirt.io"):
        crd = yaml.load((folder / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader)  # safe, in C
        spec = crd["spec"]
        for version in spec["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            key = (spec["group"], version["name"], spec["names"]["kind"])
            found[key] = Draft202012Validator(schema)
    return found


def closed(schema: Any) -> Any:
    """A schema of a definition as JSON Schema that refuses unknown fields, as strict validation does."""
    if not isinstance(schema, dict):
        return schema
    made = dict(_entries(schema))
    if "properties" in made and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string", "pattern": schema.get("pattern", "")}]
        made.pop("pattern", None)
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def _entries(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "properties":
            yield key, {name: closed(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            yield key, closed(value)
        elif key in ("anyOf", "allOf", "oneOf"):
            yield key, [closed(each) for each in value]
        elif key not in ("format", "default") and not key.startswith("x-"):
            yield key, value
