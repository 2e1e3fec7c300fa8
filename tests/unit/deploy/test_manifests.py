"""What deploy/kubernetes promises: every document is one that Kubernetes knows, complete and safe. Who may do what is in `test_manifest_access`."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hostler_cli.supervisor.cluster_secrets import secret_files
from hostler_cli.supervisor.options import SERVICES
from hostler_kit.settings import PlatformSettings
from hostler_provisioner.settings import BackendKind, KubernetesSettings, ProvisionerSettings
from scripts.render_settings import SERVICES as SETTINGS
from tests.support.manifests import (
    CHART,
    FOLDERS,
    KUBERNETES,
    OVERLAYS,
    chosen_by,
    containers,
    everything,
    folder,
    of_kind,
    one,
    overlay,
    pods,
)

KUBERNETES_VERSION = "1.37.0"
FOREIGN = {"PodMonitor", "PrometheusRule"}
"""Of the Prometheus operator; Kubernetes has no schema for them."""
WITH_PODS = ("base", "location", *OVERLAYS)
MACHINES = "hostler-machines"

every = pytest.mark.parametrize("name", [*FOLDERS, *OVERLAYS])
with_pods = pytest.mark.parametrize("name", WITH_PODS)


@every
def test_every_document_fits_the_schema_of_kubernetes(name: str):
    found = everything(name)
    assert found
    for each in found:
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, KUBERNETES_VERSION, strict=True)


@every
def test_no_two_documents_are_the_same_object(name: str):
    keys = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in everything(name)
    ]
    assert sorted(map(str, keys)) == sorted(map(str, set(keys)))


@every
def test_every_object_says_what_it_belongs_to(name: str):
    assert [
        each["metadata"]["name"]
        for each in everything(name)
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "hostler"
    ] == []


@every
def test_nothing_secret_is_shipped(name: str):
    assert of_kind(everything(name), "Secret") == []


@with_pods
def test_a_container_has_no_privilege(name: str):
    for _, pod, container in containers(everything(name)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
        assert not any("hostPath" in volume for volume in pod["volumes"])


@with_pods
def test_a_volume_that_is_there_already_keeps_the_modes_of_its_files(name: str):
    """Else the kubelet would open the spool and the log to the pod's group, and the router would refuse its folder."""
    for _, pod in pods(everything(name)):
        assert pod["spec"]["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


@with_pods
def test_a_container_is_probed_and_has_a_share_of_its_node(name: str):
    for _, _, container in containers(everything(name)):
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@with_pods
def test_an_image_has_a_version(name: str):
    for _, _, container in containers(everything(name)):
        assert re.fullmatch(r"[^\s:@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})", container["image"])


def test_the_image_is_this_version():
    project = tomllib.loads((KUBERNETES.parents[1] / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])
    images = {container["image"] for _, _, container in containers(folder("base"))}
    assert f"hostler:{project['version']}" in images


def test_the_servers_are_those_of_compose():
    compose = yaml.safe_load((KUBERNETES.parents[1] / "compose.yaml").read_text())["services"]
    found = folder("base")
    for server in ("nats", "valkey"):
        (container,) = one(found, "StatefulSet", f"hostler-{server}")["spec"]["template"]["spec"][
            "containers"
        ]
        assert f":-{container['image']}}}" in compose[server]["image"]


@with_pods
def test_a_service_runs_as_itself_and_reads_its_own_secret_alone(name: str):
    for workload, pod, container in containers(everything(name)):
        secrets = [each["secret"] for each in pod["volumes"] if "secret" in each]
        assert [(each["secretName"], each["defaultMode"]) for each in secrets] == [(workload, 0o440)]
        assert pod["serviceAccountName"] == workload
        assert not any("secretKeyRef" in str(each) for each in container.get("env", ()))


@with_pods
def test_only_the_provisioner_gets_a_token_of_kubernetes(name: str):
    found = everything(name)
    holders = [
        workload for workload, pod in pods(found) if pod["spec"]["automountServiceAccountToken"] is not False
    ]
    assert holders == ["hostler-provisioner"]
    assert all(each["automountServiceAccountToken"] is False for each in of_kind(found, "ServiceAccount"))


@with_pods
def test_every_file_that_a_setting_names_is_in_the_secret_that_is_mounted(name: str):
    made = secret_files("hostler", 3)
    found = everything(name)
    shared = one(found, "ConfigMap", "hostler-settings")["data"]
    for workload, _, container in containers(found):
        part = workload.removeprefix("hostler-")
        named = [shared["HOSTLER_NATS_PASSWORD_FILE"]] if part in SERVICES else []
        named += [each["value"] for each in container.get("env", ()) if each["name"].endswith("_FILE")]
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "secrets")
        assert [path for path in named if path.removeprefix(f"{mount['mountPath']}/") not in made[part]] == []


@with_pods
def test_every_variable_is_a_setting_of_its_service(name: str):
    found = everything(name)
    shared = set(one(found, "ConfigMap", "hostler-settings")["data"])
    groups = dict(SETTINGS)
    for workload, _, container in containers(found):
        service = workload.removeprefix("hostler-")
        if service not in groups:
            continue
        known = _variables(PlatformSettings) | _variables(groups[service])
        if service == "provisioner":
            known |= _variables(KubernetesSettings)
        if service == "api":  # for the command line in its pod
            known |= {"HOSTLER_API_URL", "HOSTLER_ROUTER_URL", "HOSTLER_API_KEY_FILE"}
        given = [each["name"] for each in container["env"]]
        assert len(given) == len(set(given))
        assert set(given) - known == set()
        assert shared - known <= {"HOSTLER_DATA_DIR"}  # the command line's as well


@with_pods
def test_every_value_is_one_that_the_settings_take(name: str, monkeypatch: pytest.MonkeyPatch):
    found = everything(name)
    shared = one(found, "ConfigMap", "hostler-settings")["data"]
    groups = dict(SETTINGS)
    for workload, _, container in containers(found):
        if (service := workload.removeprefix("hostler-")) in groups:
            with monkeypatch.context() as environment:
                for key, value in shared.items():
                    environment.setenv(key, value)
                for each in container["env"]:
                    environment.setenv(each["name"], each.get("value", "pod-0"))
                platform, own = PlatformSettings(), groups[service]()
                kubernetes = KubernetesSettings()
            if isinstance(own, ProvisionerSettings):
                assert (own.backend, kubernetes.namespace) == (BackendKind.KUBEVIRT, MACHINES)
                assert kubernetes.images
            assert (own.name, own.ops_port) == ("pod-0", 9090)
            assert platform.nats_user == service


@with_pods
def test_there_is_time_to_finish_what_is_under_way(name: str):
    for workload, pod, container in containers(everything(name)):
        if workload.removeprefix("hostler-") in SERVICES:
            env = {each["name"]: each.get("value") for each in container["env"]}
            pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            drain = int(env["HOSTLER_DRAIN_TIMEOUT_SECONDS"])
            assert pod["terminationGracePeriodSeconds"] >= pause + drain + 10


@with_pods
def test_probes_and_services_lead_to_ports_that_there_are(name: str):
    found = everything(name)
    for _, _, container in containers(found):
        ports = {each["name"] for each in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            action = container[probe]
            where = action.get("httpGet") or action.get("tcpSocket")
            assert where is None or where["port"] in ports
    for service in of_kind(found, "Service"):
        chosen = [
            pod
            for _, pod in pods(found)
            if chosen_by({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
        ]
        assert len(chosen) == 1
        (container,) = chosen[0]["spec"]["containers"]
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= {
            each["name"] for each in container["ports"]
        }


@with_pods
def test_every_workload_but_valkey_loses_one_pod_at_a_time(name: str):
    found = everything(name)
    for workload, pod in pods(found):
        budgets = [
            each
            for each in of_kind(found, "PodDisruptionBudget")
            if chosen_by(each["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert [each["spec"]["maxUnavailable"] for each in budgets] == (
            [] if workload == "hostler-valkey" else [1]
        )


@with_pods
def test_an_autoscaled_workload_has_no_count_of_its_own(name: str):
    found = everything(name)
    for each in of_kind(found, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        assert "replicas" not in one(found, target["kind"], target["name"])["spec"]


def test_what_must_outlive_a_pod_is_on_a_volume_that_stays():
    found = folder("base")
    for name in ("hostler-nats", "hostler-router"):
        spec = one(found, "StatefulSet", name)["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {
            "whenDeleted": "Retain",
            "whenScaled": "Retain",
        }
        assert [each["metadata"]["name"] for each in spec["volumeClaimTemplates"]] == ["data"]


def test_the_log_is_kept_by_three_servers_and_written_through():
    found = folder("base")
    assert one(found, "StatefulSet", "hostler-nats")["spec"]["replicas"] == 3
    assert one(found, "ConfigMap", "hostler-settings")["data"]["HOSTLER_NATS_REPLICAS"] == "3"
    assert 'sync_interval: "always"' in one(found, "ConfigMap", "hostler-nats")["data"]["nats.conf"]


@pytest.mark.parametrize("name", ["production", "monitoring"])
def test_production_insists_on_zones_for_nats_and_ends_tls_at_the_ingress(name: str):
    found = overlay(name)
    spread = one(found, "StatefulSet", "hostler-nats")["spec"]["template"]["spec"][
        "topologySpreadConstraints"
    ]
    by_key = {each["topologyKey"]: each["whenUnsatisfiable"] for each in spread}
    assert by_key["topology.kubernetes.io/zone"] == "DoNotSchedule"
    for each in of_kind(found, "Ingress"):
        hosts = {rule["host"] for rule in each["spec"]["rules"]}
        assert {host for entry in each["spec"]["tls"] for host in entry["hosts"]} == hosts
    assert len(of_kind(found, "Ingress")) == 2


def test_a_small_installation_has_one_of_everything():
    found = overlay("small")
    counts = [each["spec"]["replicas"] for each in of_kind(found, "Deployment", "StatefulSet")]
    assert counts == [1] * 7
    assert one(found, "ConfigMap", "hostler-settings")["data"]["HOSTLER_NATS_REPLICAS"] == "1"
    assert "cluster" not in one(found, "ConfigMap", "hostler-nats")["data"]["nats.conf"].replace(
        "no cluster", ""
    )


# Who may do what at Kubernetes.


# Who may talk to whom.


def _variables(group: type[Any]) -> set[str]:
    prefix = group.model_config.get("env_prefix", "")
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else f"{prefix}{name}".upper()
        for name, field in group.model_fields.items()
    }


# Alerts.


def test_alerts_are_about_figures_that_there_are():
    groups = yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"]
    code = "".join(
        path.read_text()
        for part in ("libs", "services")
        for path in (KUBERNETES.parents[1] / part).rglob("*.py")
    )
    names = {
        word
        for group in groups
        for rule in group["rules"]
        for word in re.findall(r"hostler_\w+", rule["expr"])
    }
    assert names
    for word in names:
        stem = re.sub(r"_(total|bucket)$", "", word)
        # The router puts the beginning before its own.
        spellings = (word, stem, stem.removeprefix("hostler_router_"))
        assert any(f'"{each}"' in code for each in spellings), word


def test_alerts_are_rules_that_prometheus_takes(tmp_path: Path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here, which comes with Debian's prometheus")
    (rule,) = of_kind(folder("components/monitoring"), "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    done = subprocess.run(
        [promtool, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_monitoring_keeps_the_label_job_for_inference_jobs():
    (monitor,) = of_kind(folder("components/monitoring"), "PodMonitor")
    assert [each["honorLabels"] for each in monitor["spec"]["podMetricsEndpoints"]] == [True]
    labels = [pod["metadata"]["labels"] for name, pod in pods(folder("base")) if "valkey" not in name]
    assert all(chosen_by(monitor["spec"]["selector"], each) for each in labels)
