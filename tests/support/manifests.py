"""What deploy/kubernetes holds, as documents: the rendered folders as they lie there, overlays as kubectl builds them."""

import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
CHART = KUBERNETES / "chart/hostler"
FOLDERS = ("base", "location", "components/monitoring")
OVERLAYS = ("small", "production", "monitoring", "location-dallas")

Document = dict[str, Any]


def documents(text: str) -> list[Document]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


@functools.cache
def folder(name: str) -> list[Document]:
    """The documents of a rendered folder."""
    paths = sorted((KUBERNETES / name).glob("*.yaml"))
    return [each for path in paths if path.stem != "kustomization" for each in documents(path.read_text())]


@functools.cache
def overlay(name: str) -> list[Document]:
    """What an overlay comes to; skips the test where there is no kubectl to say so."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here, which builds overlays")
    built = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / "overlays" / name], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return documents(built.stdout)


def everything(name: str) -> list[Document]:
    """Of a folder, or of an overlay."""
    return folder(name) if name in FOLDERS else overlay(name)


def one(found: list[Document], kind: str, name: str) -> Document:
    (match,) = (each for each in found if each["kind"] == kind and each["metadata"]["name"] == name)
    return match


def of_kind(found: list[Document], *kinds: str) -> list[Document]:
    return [each for each in found if each["kind"] in kinds]


def pods(found: list[Document]) -> Iterator[tuple[str, Document]]:
    """The pod of each workload, by its name."""
    for each in of_kind(found, "Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield each["metadata"]["name"], each["spec"]["template"]


def containers(found: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Every container, with its pod's name and specification."""
    for name, pod in pods(found):
        for each in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            yield name, pod["spec"], each


def chosen_by(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes what has these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(
        (labels.get(each["key"]) in each["values"]) == (each["operator"] == "In")
        for each in selector.get("matchExpressions", ())
    )
