"""The import rules hold, and each of them would be noticed if it were broken.

import-linter runs on a copy of the packages into which one offending import was written; the contract that forbids it must be
reported broken. The graph of what did not change comes from a cache, so a run takes a fraction of a second.
"""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "libs",
    "services/api",
    "services/scheduler",
    "services/provisioner",
    "services/router",
    "services/autoscaler",
    "cli",
)
DOMAIN_MAY_IMPORT = frozenset(
    {
        "binascii",
        "bisect",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "hostler_domain",
        "ipaddress",
        "itertools",
        "math",
        "operator",
        "re",
        "types",
        "typing",
        "zlib",
    }
)
"""What the domain is made of; nothing here reads a clock, a file or the network."""


WriteImport = Callable[[str, str], None]


def _contracts() -> dict[str, str]:
    """Name of every contract by its id."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): parser[section]["name"]
        for section in parser.sections()
        if section.startswith(prefix)
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("imports")
    shutil.copy(ROOT / ".importlinter", target)
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
    return target


@pytest.fixture
def write_import(copy: Path) -> Iterator[WriteImport]:
    """Appends a line to a module of the copy, and takes it away again."""
    before: dict[Path, str] = {}

    def write(module: str, line: str) -> None:
        path = next(iter(copy.glob(f"**/{module.replace('.', '/')}.py")))
        before[path] = path.read_text()
        path.write_text(f"{before[path]}\n{line}\n")

    yield write
    for path, text in before.items():
        path.write_text(text)


def _broken_contracts(folder: Path) -> set[str]:
    """Ids of the contracts that do not hold in `folder`."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as main; main()",
            "--no-logo",
        ],
        cwd=folder,
        env={
            **os.environ,
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join(str(folder / each) for each in FOLDERS),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", run.stdout, flags=re.MULTILINE))
    names = _contracts()
    assert set(names.values()) == set(verdicts), run.stdout + run.stderr
    return {each for each, name in names.items() if verdicts[name] == "BROKEN"}


def test_the_code_as_it_is_keeps_every_contract(copy: Path):
    assert set() == _broken_contracts(copy)


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        pytest.param("layers", "hostler_domain.job", "import hostler_kit.ids", id="domain-uses-kit"),
        pytest.param("layers", "hostler_kit.http", "import hostler_contracts.subjects", id="kit-uses-contracts"),
        pytest.param("layers", "hostler_bus.port", "import hostler_router.table", id="bus-uses-a-service"),
        pytest.param("services", "hostler_router.service", "import hostler_scheduler.place", id="router-uses-scheduler"),
        pytest.param("clients", "hostler_cli.jobs", "import hostler_api.documents", id="cli-uses-api"),
        pytest.param("clients", "hostler_client.models", "import hostler_bus.port", id="client-uses-bus"),
        pytest.param("uncalled", "hostler_api.app", "import hostler_client.models", id="api-uses-client"),
        pytest.param("domain", "hostler_domain.evolve", "import time", id="domain-reads-a-clock"),
        pytest.param("domain", "hostler_domain.job", "from pydantic import BaseModel", id="domain-uses-a-package"),
        pytest.param("pure", "hostler_provisioner.plan", "import asyncio", id="plan-waits"),
        pytest.param("pure", "hostler_scheduler.score", "import random", id="score-throws-dice"),
        pytest.param("pure", "hostler_autoscaler.decide", "import hostler_kit.logs", id="policy-logs"),
        pytest.param("pure", "hostler_router.table", "import hostler_bus.job_log", id="table-uses-bus"),
        pytest.param("nats", "hostler_router.service", "from nats.aio.client import Client", id="router-uses-nats"),
        pytest.param("nats", "hostler_bus.job_log", "import nats", id="log-uses-nats"),
        pytest.param("runtime", "hostler_provisioner.local.backend", "import xllamacpp", id="backend-loads-runtime"),
        pytest.param("speech", "hostler_speech.server", "import hostler_kit.http", id="speech-uses-kit"),
        pytest.param("listeners", "hostler_provisioner.local.backend", "import faster_whisper", id="backend-listens"),
        pytest.param("traces", "hostler_router.tracing", "import opentelemetry.sdk", id="router-loads-opentelemetry"),
        pytest.param("supervisor", "hostler_cli.supervisor.stack", "import rich", id="supervisor-loads-rich"),
    ],
)  # fmt: skip
def test_an_offending_import_is_caught(
    contract: str, module: str, line: str, copy: Path, write_import: WriteImport
):
    write_import(module, line)
    assert contract in _broken_contracts(copy)


def test_an_import_inside_a_function_is_caught_as_well(copy: Path, write_import: WriteImport):
    write_import("hostler_domain.job", "def late():\n    import random\n    return random")
    assert "domain" in _broken_contracts(copy)


def test_the_domain_imports_nothing_but_the_values_of_the_standard_library():
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "libs/hostler_domain").rglob("*.py")
        for name in _imported_names(ast.parse(path.read_text()))
    }
    assert set() == imported - DOMAIN_MAY_IMPORT


def test_every_contract_has_an_import_here_that_breaks_it():
    marks = test_an_offending_import_is_caught.pytestmark
    broken = {each.values[0] for mark in marks if mark.name == "parametrize" for each in mark.args[1]}
    assert set(_contracts()) == broken


def test_every_package_is_under_the_contracts():
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    packages = {
        path.parent.name for folder in FOLDERS for path in (ROOT / folder).glob("hostler_*/__init__.py")
    }
    assert packages == set(parser["importlinter"]["root_packages"].split())


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
