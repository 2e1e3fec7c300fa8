"""The Helm chart, rendered and linted by Helm's own library, and held against what kustomize makes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from scripts.render_kubernetes import KUBERNETES, files, render
from tests.compat.environments import environment
from tests.support.manifests import (
    CHART,
    Document,
    chosen_by,
    containers,
    documents,
    of_kind,
    one,
    overlay,
    pods,
)

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


@pytest.fixture(autouse=True, scope="module")
def helm() -> None:
    environment("helm")


def test_the_folders_are_what_helm_makes_of_the_chart():
    """If this fails: `.venv/bin/python scripts/render_kubernetes.py`."""
    there = {
        str(path.relative_to(KUBERNETES)): path.read_text()
        for folder in ("base", "location", "components/monitoring")
        for path in (KUBERNETES / folder).glob("*.yaml")
    }
    assert there == files()


@pytest.mark.parametrize("name", ["small", "production", "monitoring", "location-dallas"])
def test_an_overlay_is_the_chart_with_the_values_of_its_name(name: str):
    values = _values(name) if name != "monitoring" else _values("production") | _values("monitoring")
    by_chart = _by_name(documents("\n---\n".join(_rendered(values).values())))
    by_kustomize = _by_name(overlay(name))
    # A release brings no namespace of its own: Helm makes that.
    del by_kustomize["Namespace", None, "hostler"]
    assert set(by_chart) == set(by_kustomize)
    for key, expected in by_chart.items():
        assert by_kustomize[key] == expected


def test_a_release_may_have_another_name_and_place():
    found = documents("\n---\n".join(_rendered({}, release="second", namespace="ai").values()))
    for each in found:
        assert each["metadata"]["name"].startswith("second-") or each["kind"] in {
            "Namespace",
            "ClusterRole",
            "ClusterRoleBinding",
        }
    names = {each["metadata"]["name"] for each in of_kind(found, "ClusterRole")}
    assert names == {"ai-second-inventory"}
    for each in found:
        kubernetes_validate.validate(each, "1.37.0", strict=True)
        assert "hostler-" not in re.sub(r"hostler-machines", "", yaml.safe_dump(each))


def test_every_part_can_be_left_out():
    for part in ("valkey", "api", "scheduler", "provisioner", "router", "autoscaler"):
        found = documents("\n---\n".join(_rendered({part: {"enabled": False}}).values()))
        assert f"hostler-{part}" not in {name for name, _ in pods(found)}
    alone = documents("\n---\n".join(_rendered({"networkPolicies": {"enabled": False}}).values()))
    assert of_kind(alone, "NetworkPolicy") == []


def test_an_image_of_another_registry_is_taken_with_its_secret():
    values = {
        "image": {"repository": "registry.example/hostler", "tag": "2"},
        "imagePullSecrets": [{"name": "registry"}],
    }
    found = documents("\n---\n".join(_rendered(values).values()))
    for workload, pod, container in containers(found):
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        if workload not in {"hostler-nats", "hostler-valkey"}:
            assert container["image"] == "registry.example/hostler:2"


def test_settings_that_the_chart_does_not_know_reach_their_service():
    found = documents(
        "\n---\n".join(_rendered({"router": {"env": {"HOSTLER_ROUTER_QUEUE_MAX": "7"}}}).values())
    )
    (container,) = one(found, "StatefulSet", "hostler-router")["spec"]["template"]["spec"]["containers"]
    assert {"name": "HOSTLER_ROUTER_QUEUE_MAX", "value": "7"} in container["env"]


def test_changed_settings_start_the_pods_anew():
    before, after = (
        dict(pods(documents("\n---\n".join(_rendered({"logLevel": level}).values()))))
        for level in ("info", "debug")
    )
    stamp = "checksum/settings"
    for name in ("hostler-api", "hostler-router"):
        marks = [each[name]["metadata"]["annotations"][stamp] for each in (before, after)]
        assert marks[0] != marks[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"router": {"replica": 3}}, "replica", id="a misspelt name"),
        pytest.param({"nats": {"replicas": 2}}, "replicas", id="two servers, of which none may be lost"),
        pytest.param({"image": {"tag": "latest"}}, "tag", id="an image without a version"),
        pytest.param({"nats": {"image": "nats:latest"}}, "image", id="a server without a version"),
        pytest.param({"nats": {"enabled": False}}, "nats.url", id="no NATS anywhere"),
        pytest.param({"ingress": {"enabled": True}}, "apiHost", id="an ingress without a host"),
        pytest.param({"api": {"env": {"PATH": "/tmp"}}}, "PATH", id="a variable that is no setting"),
        pytest.param({"networkPolicies": {"upstreams": ["any"]}}, "upstreams", id="no block of addresses"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], said: str):
    with pytest.raises(RuntimeError, match=re.escape(said)):
        render(values)


def test_every_value_has_its_line_in_the_schema_and_is_used():
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    for path in _paths(VALUES):
        schema = SCHEMA
        for word in path:
            schema = schema["properties"][word]
        spellings = (
            ".Values." + ".".join(path),
            "." + ".".join(path[1:]),
            f".{path[-1]}",
            "%s" + path[-1].removeprefix("api").removeprefix("router"),
        )
        assert any(each in templates for each in spellings), path


def test_the_notes_name_the_command_that_makes_the_secrets():
    notes = render({}, release="second", namespace="ai")["NOTES"]
    assert "hostler_cli.supervisor.cluster_secrets" in notes
    assert "--release second --namespace ai --nats-servers 3 | kubectl create -f -" in notes


def _values(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((KUBERNETES / f"values/{name}.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def _rendered(values: dict[str, Any], **place: str) -> dict[str, str]:
    return {name: text for name, text in render(values, **place).items() if name != "NOTES"}


def _by_name(found: list[Document]) -> dict[tuple[str, str | None, str], Document]:
    return {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): _comparable(each)
        for each in found
    }


def _comparable(document: Document) -> Document:
    """Without what only Helm can work out, and with lists of named things in order of their names."""
    plain = json.loads(json.dumps(document, sort_keys=True))
    template = plain.get("spec", {}).get("template", {})
    template.get("metadata", {}).get("annotations", {}).pop("checksum/settings", None)
    for container in template.get("spec", {}).get("containers", ()):
        if "env" in container:
            container["env"].sort(key=lambda each: each["name"])
    assert isinstance(plain, dict)
    return plain


def _paths(values: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in {"resources", "images"}:
            yield from _paths(value, (*before, name))
        else:
            yield (*before, name)


def test_no_policy_is_about_pods_that_there_are_not():
    found = documents("\n---\n".join(_rendered({}).values()))
    labels = [pod["metadata"]["labels"] for _, pod in pods(found)]
    for policy in of_kind(found, "NetworkPolicy"):
        if policy["metadata"]["namespace"] == "hostler":
            assert any(chosen_by(policy["spec"]["podSelector"], each) for each in labels)
