"""Which modules can be compiled, and that the tests run what they are meant to run."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from pydantic import BaseModel

from tests.support.compiled import COMPILED

ROOT = Path(__file__).parents[3]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


def name_of(path: str) -> str:
    return "hostler_" + path.split("/hostler_", 1)[1].removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("path", MODULES)
def test_a_module_is_loaded_as_it_was_asked_for(path: str) -> None:
    origin = importlib.import_module(name_of(path)).__file__
    assert origin is not None
    assert Path(origin).suffix == (".so" if COMPILED else ".py")


def test_a_process_of_its_own_runs_the_same() -> None:
    asked = [sys.executable, "-P", "-c", "import hostler_router.direct as it; print(it.__file__)"]
    origin = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    assert Path(origin).suffix == (".so" if COMPILED else ".py")


@pytest.mark.parametrize("path", MODULES)
def test_what_a_compiler_would_drop_without_a_word_is_not_there(path: str) -> None:
    """mypyc takes no notice of a class's keywords, nor of what types are annotated with: a struct would be another one."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.ClassDef):
            assert not node.keywords, f"class {node.name} has keywords"
    module = importlib.import_module(name_of(path))
    own = [each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__]
    assert not [each for each in own if isinstance(each, type(msgspec.Struct) | type(BaseModel))]


def test_modules_stand_in_order_and_once() -> None:
    assert sorted(set(MODULES)) == MODULES


def test_what_pydantic_reads_the_types_of_is_not_there() -> None:
    """A compiled dataclass has no annotations that it could read; the first key with limits was unknown to the router then."""
    assert not [path for path in MODULES if "/hostler_domain/" in path or "/hostler_contracts/" in path]
