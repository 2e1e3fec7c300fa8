"""The recipe of the guest image: it can be read, and has in it what the guests rely on."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hostler_provisioner.kubevirt.cloud_init import SERVER_USER, SHARED_CACHE_UID
from hostler_provisioner.kubevirt.guest import CACHE_PATH
from hostler_provisioner.kubevirt.launcher import LAUNCHER

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "deploy" / "images"
SCRIPT = (IMAGES / "mkosi.postinst.chroot").read_text()


def recipe() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#", interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # mkosi's names have capitals
    parser.read(IMAGES / "mkosi.conf")
    return parser


def test_mkosi_itself_reads_it():
    command = shutil.which("mkosi")
    if command is None:
        pytest.skip("mkosi is not installed here; version 25 or later")
    done = subprocess.run(
        [command, "--directory", str(IMAGES), "summary"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # It goes on after a setting that it does not know.
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "package",
    [
        "cloud-init",
        "cloud-guest-utils",
        "qemu-guest-agent",
        "nvidia-open",
        "podman",
        "openssh-server",
        "python3",
    ],
)
def test_it_has_what_guests_and_manifests_rely_on(package):
    assert package in recipe()["Content"]["Packages"].split()


def test_every_tree_that_it_copies_is_in_the_repository():
    for each in recipe()["Content"]["ExtraTrees"].split():
        assert (IMAGES / each.partition(":")[0]).exists(), each


def test_its_scripts_are_scripts():
    path = IMAGES / "mkosi.postinst.chroot"

    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True, timeout=30)


def test_its_scripts_pass_shellcheck():
    command = shutil.which("shellcheck")
    if command is None:
        pytest.skip("shellcheck is not installed here")
    done = subprocess.run(
        [command, str(IMAGES / "mkosi.postinst.chroot")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_the_user_and_the_paths_are_those_that_guests_are_told():
    assert f"--uid {SHARED_CACHE_UID} " in SCRIPT
    assert re.search(rf"useradd .* {SERVER_USER}$", SCRIPT, re.MULTILINE)
    assert CACHE_PATH in SCRIPT
    assert "/opt/hostler/bin/vllm" in SCRIPT
    assert "/opt/hostler/bin:" in LAUNCHER
    assert "python3 -m venv /opt/hostler/speech" in SCRIPT


def test_vllm_is_one_that_can_end_its_requests():
    found = re.search(r"vllm_version=(\d+)\.(\d+)", SCRIPT)

    assert found is not None
    assert (int(found[1]), int(found[2])) >= (0, 18)


def test_onnx_runtime_is_the_one_that_the_engine_was_tested_with():
    found = re.search(r"onnxruntime_version=(\S+)", SCRIPT)

    assert found is not None
    assert f"onnxruntime=={found[1]} " in (ROOT / "requirements-speech.txt").read_text()
