"""What the documents say exists: make targets, commands and their options, links, dependencies, events."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from hostler_cli.app import app
from hostler_contracts.job_events import EVENT_MODELS

ROOT = Path(__file__).parents[2]
LEFT_OUT = frozenset({"build", "dist", "node_modules", "__pycache__"})
KEPT_HIDDEN = frozenset({".ci", ".github", ".importlinter", ".pre-commit-config.yaml", ".gitignore"})
# Put together here, so that this file does not name what it looks for.
INDEX_HOSTS = tuple(
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("pypi", "python", "org"))
)


def _files(folder: Path) -> Iterator[Path]:
    """Every file of the repository but environments, caches and outputs."""
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT or (path.name.startswith(".") and path.name not in KEPT_HIDDEN):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


DOCUMENTS = {str(path.relative_to(ROOT)): path for path in _files(ROOT) if path.suffix == ".md"}


def _code(text: str) -> str:
    """What stands in fences and between backticks, a piece a line; a line that goes on on the next is one."""
    fenced = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", rest)]
    return "\n".join([*fenced, *inline]).replace("\\\n", " ")


def _read(name: str) -> str:
    return DOCUMENTS[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["make demo", "make test", "make setup"])
def test_the_readme_names_the_commands_to_begin_with(command: str):
    assert command in _code(_read("README.md"))


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        (name, target)
        for name in DOCUMENTS
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", _code(_read(name)))
    }
    assert ("README.md", "demo") in named
    assert set() == {(name, target) for name, target in named if target not in targets}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_command_and_option_that_is_named_exists(name: str):
    wrong = [
        line
        for line in _code(_read(name)).splitlines()
        if (call := re.search(r"(?:^|\s|/)hostler ((?:-|[a-z]).*)", line)) and not _exists(call[1].split())
    ]
    assert wrong == []


def test_a_command_or_option_that_does_not_exist_would_be_noticed():
    assert [
        _exists(words.split())
        for words in ("fly", "jobs fly", "deploy MODEL --wings", "deploy MODEL --min-replicas 1")
    ] == [False, False, False, True]


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_link_to_a_file_leads_somewhere(name: str):
    links = [
        link.partition("#")
        for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", _read(name))
        if not re.match(r"[a-z]+:", link)
    ]
    lost = [
        path + mark + heading
        for path, mark, heading in links
        if not _leads_somewhere(DOCUMENTS[name].parent / path if path else DOCUMENTS[name], heading)
    ]
    assert lost == []


def test_no_file_names_the_host_of_a_package_index():
    found = [
        str(path.relative_to(ROOT))
        for path in _files(ROOT)
        if any(host.encode() in path.read_bytes() for host in INDEX_HOSTS)
    ]
    assert found == []


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wishes = [
        *project["project"]["dependencies"],
        *(wish for group in project["project"]["optional-dependencies"].values() for wish in group),
        *(wish for group in project["dependency-groups"].values() for wish in group if isinstance(wish, str)),
        *(path.read_text() for path in (ROOT / "tests" / "compat").glob("requirements-*.in")),
    ]
    wanted = {re.split(r"[<>=!~;\[ ]", wish)[0] for wish in wishes}
    explained = set(
        re.findall(r"^\| ([a-z][a-z0-9-]*) \|", _read("docs/dependencies.md"), flags=re.MULTILINE)
    )
    assert wanted == explained - {"package"}


def test_the_life_of_a_job_names_every_event():
    life = _read("ARCHITECTURE.md").partition("## The life of a job")[2].partition("\n## ")[0]
    names = {
        model.model_fields["type"].default.removeprefix("dev.hostler.").rpartition(".v")[0]
        for model in EVENT_MODELS
    }
    assert set() == {name for name in names if f"`{name}`" not in life}


def test_every_service_has_a_readme_that_the_architecture_links():
    services = {path.parent.name for path in (ROOT / "services").glob("*/hostler_*")}
    assert services == {
        service for service in services if f"](services/{service}/README.md)" in _read("ARCHITECTURE.md")
    }


def _exists(words: list[str]) -> bool:
    """Whether the command that these words begin with exists, with every long option among them."""
    command = get_command(app)
    rest = [word.rstrip(".,;:)") for word in words]
    while (
        (commands := getattr(command, "commands", None)) is not None and rest and not rest[0].startswith("-")
    ):
        if rest[0] not in commands:
            return False
        command = commands[rest.pop(0)]
    until_comment = rest[: rest.index("#")] if "#" in rest else rest
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {
        "--help"
    }
    return all(word.partition("=")[0] in options for word in until_comment if word.startswith("--"))


def _leads_somewhere(path: Path, heading: str) -> bool:
    if not path.exists():
        return False
    if not heading:
        return True
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return heading in {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}
