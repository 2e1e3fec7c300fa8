"""Contexts: their file, which place goes before which, whose key goes where, and the commands as they are typed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_cli.config_file import Config, Context, config_path, load, parse, render, save
from hostler_cli.context import Flags, LocalStack, choose, place_named
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from tests.support.builders import created
from tests.unit.cli.test_commands import Shell
from tests.unit.client.fake_api import KEY, FakeApi, problem

FAR = Context("far", "http://far", "http://far:8", api_key="hsk_far")
NEAR = Context("near", "http://near")
CONFIG = Config({"far": FAR, "near": NEAR}, "near")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def url(api: FakeApi) -> Iterator[str]:
    with api.served() as url:
        yield url


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A terminal where neither environment nor folder name an installation."""
    monkeypatch.chdir(tmp_path)
    names = ("API_URL", "ROUTER_URL", "API_KEY", "API_KEY_FILE", "DATA_DIR", "CONTEXT")
    return Shell({f"HOSTLER_{name}": None for name in names})


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True),
        st.tuples(TEXTS, TEXTS, TEXTS, TEXTS),
    ),
    st.data(),
)
def test_what_was_written_is_read_again(tables: dict[str, tuple[str, str, str, str]], data: st.DataObject):
    contexts = {name: Context(name, *texts) for name, texts in tables.items()}
    config = Config(contexts, data.draw(st.sampled_from(["", *contexts])))
    assert parse(render(config), "f") == config


@pytest.mark.parametrize(
    "text",
    [
        "contexts = [",
        "contexts = 3",
        "current = 3",
        "current = 'gone'",
        "colour = 'red'",
        "[contexts.'a b']",
        "[contexts]\na = 3",
        "[contexts.a]\nport = 'x'",
        "[contexts.a]\napi_url = 3",
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(CliError, match="f is no configuration") as refused:
        parse(text, "f")
    assert refused.value.code is ExitCode.USAGE


def test_a_file_is_for_its_owner_alone_and_one_with_a_key_is_refused_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "hostler" / "config.toml"
    assert load(path) == Config()
    save(path, CONFIG)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert load(path) == CONFIG
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]
    path.chmod(0o640)
    with pytest.raises(CliError, match="others may open it"):
        load(path)
    save(path, CONFIG.without("far"))
    path.chmod(0o644)
    assert load(path).contexts == {"near": NEAR}


def test_a_configuration_home_that_is_not_absolute_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert config_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/hostler/config.toml")
    for environ in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "x"}):
        assert config_path(environ) == Path("/home/me/.config/hostler/config.toml")


@pytest.mark.parametrize(
    ("flags", "environ", "config", "place"),
    [
        (Flags(), {}, Config(), Path(".hostler")),
        (Flags(), {}, CONFIG, NEAR),
        (Flags(), {"HOSTLER_DATA_DIR": "/d"}, CONFIG, Path("/d")),
        (Flags(), {"HOSTLER_DATA_DIR": "/d", "HOSTLER_CONTEXT": "far"}, CONFIG, FAR),
        (Flags(context="far"), {"HOSTLER_DATA_DIR": "/d", "HOSTLER_CONTEXT": "near"}, CONFIG, FAR),
        (
            Flags(data_dir=Path("/e")),
            {"HOSTLER_DATA_DIR": "/d", "HOSTLER_CONTEXT": "far"},
            CONFIG,
            Path("/e"),
        ),
    ],
    ids=[
        "nothing",
        "the one in use",
        "folder variable",
        "context variable",
        "context option",
        "folder option",
    ],
)
def test_the_place_is_the_first_that_is_named(
    flags: Flags, environ: dict[str, str], config: Config, place: Context | Path
) -> None:
    assert place_named(flags, environ, lambda: config) == place


def test_two_places_and_a_context_that_is_not_there_are_refused() -> None:
    with pytest.raises(CliError, match="two places"):
        place_named(Flags(data_dir=Path("/d"), context="far"), {}, lambda: CONFIG)
    with pytest.raises(CliError, match="no context 'gone'; there are: far, near") as refused:
        place_named(Flags(context="gone"), {}, lambda: CONFIG)
    assert refused.value.code is ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("flags", "environ", "address", "key"),
    [
        (Flags(), {}, "http://far", "hsk_far"),
        (Flags(), {"HOSTLER_API_KEY": "hsk_env"}, "http://far", "hsk_env"),
        (Flags(), {"HOSTLER_API_URL": "http://env", "HOSTLER_API_KEY": "hsk_env"}, "http://env", "hsk_env"),
        (Flags(api_url="http://far/v1/"), {}, "http://far", "hsk_far"),
    ],
    ids=["of the context", "key of the environment", "address of the environment", "its address by a flag"],
)
def test_flags_go_before_the_environment_before_a_context(
    flags: Flags, environ: dict[str, str], address: str, key: str
) -> None:
    far = replace(FAR, api_url="http://far/v1")  # as somebody may have written it by hand
    found = choose(flags, environ, far, None, needs_router=False)
    assert (found.api_url, found.api_key) == (address, key)


def test_the_key_of_a_context_is_never_sent_to_another_address() -> None:
    for environ in ({"HOSTLER_API_URL": "http://other"}, {}):
        flags = Flags(api_url=None if environ else "http://other")
        with pytest.raises(CliError, match="no API key for http://other"):
            choose(flags, environ, FAR, None, needs_router=False)
    assert choose(Flags(router_url="http://other"), {}, FAR, None, needs_router=True).api_key is None
    assert choose(Flags(), {}, FAR, None, needs_router=True).api_key == "hsk_far"
    assert "hsk_far" not in repr(CONFIG)


def test_a_context_without_an_address_does_not_get_that_of_another() -> None:
    with pytest.raises(CliError, match="near has no address") as refused:
        choose(Flags(), {}, NEAR, None, needs_router=True)
    assert refused.value.hint == "`hostler context set near --router-url URL` gives it one"
    with pytest.raises(CliError, match="no stack runs on /d"):
        choose(Flags(), {}, LocalStack(Path("/d")), None, needs_router=True)


def test_a_context_is_set_used_listed_and_removed(
    shell: Shell, api: FakeApi, url: str, tmp_path: Path, config_home: Path
) -> None:
    api.add(created())
    assert shell("jobs", "list").exit_code == 1
    made = shell("context", "set", "prod", "--api-url", f"{url}/v1", "--api-key-stdin", stdin=f"{KEY}\n")
    assert made.exit_code == 0
    assert shell("jobs", "list").exit_code == 1  # made is not used
    assert shell("context", "use", "prod").exit_code == 0
    assert shell("jobs", "list", "-o", "name").stdout == "demo\n"
    shown = [shell("context", "list"), shell("context", "list", "-o", "json")]
    assert all(KEY not in each.output for each in [made, *shown])
    (listed,) = json.loads(shown[1].stdout)
    assert (listed["name"], listed["in_use"], listed["api_url"], listed["has_key"]) == (
        "prod",
        True,
        url,
        True,
    )

    (tmp_path / "key").write_text(f"{KEY}\n")
    assert shell("context", "set", "prod", "--api-key-file", "key").exit_code == 0
    assert KEY not in (config_home / "hostler" / "config.toml").read_text()
    assert shell("jobs", "list", "-o", "name").stdout == "demo\n"

    removed = shell("context", "remove", "prod")
    assert "was in use" in removed.stderr
    assert json.loads(shell("context", "list", "-o", "json").stdout) == []
    assert shell("jobs", "list").exit_code == 1


def test_a_context_is_chosen_for_one_command(shell: Shell, api: FakeApi, url: str, config_home: Path) -> None:
    api.add(created())
    prod = Context("prod", url, api_key=KEY)
    save(config_home / "hostler" / "config.toml", Config({"prod": prod, "near": NEAR}, "near"))
    wrong = {"HOSTLER_API_URL": "http://127.0.0.1:1", "HOSTLER_API_KEY": "hsk_other"}
    assert shell("--context", "prod", "jobs", "list", "-o", "name", **wrong).stdout == "demo\n"
    assert shell("jobs", "list", "-o", "name", HOSTLER_CONTEXT="prod").stdout == "demo\n"
    assert shell("--context", "gone", "jobs", "list").exit_code == 3
    assert shell("--context", "prod", "jobs", "list", "--data-dir", "d").exit_code == 2
    assert shell("context", "use", "--none").exit_code == 0
    assert "no stack runs on" in shell("jobs", "list").stderr  # and what --context chose before is forgotten


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "prod"],
        ["set", "a b", "--api-url", "http://a"],
        ["set", "prod", "--api-url", "http://a", "--api-key-stdin", "--api-key-file", "key"],
        ["set", "prod", "--api-url", "http://a", "--api-key-stdin"],
        ["use"],
        ["use", "prod", "--none"],
    ],
    ids=" ".join,
)
def test_wrong_usage_changes_nothing(shell: Shell, config_home: Path, arguments: list[str]) -> None:
    assert shell("context", *arguments, stdin="").exit_code == 2
    assert not config_home.exists()


def typed_so_far(shell: Shell, words: str) -> list[str]:
    """What is offered for the last of these words."""
    count = str(len(words.split(" ")) - 1)
    done = shell(_HOSTLER_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count)
    assert done.stderr == ""
    return done.stdout.split()


def test_tab_offers_jobs_and_contexts_and_nothing_when_nobody_answers(
    shell: Shell, api: FakeApi, url: str, config_home: Path
) -> None:
    for name in ("demo", "other", "dust"):
        api.add(created(name=name))
    prod = Context("prod", url, api_key=KEY)
    save(config_home / "hostler" / "config.toml", Config({"prod": prod, "near": NEAR}))
    api.page_size = 3
    assert typed_so_far(shell, "hostler --context prod jobs get d") == ["demo", "dust"]
    assert typed_so_far(shell, "hostler --context p") == ["prod"]
    assert typed_so_far(shell, "hostler context use ") == ["near", "prod"]
    asked = len(api.requests)
    api.refusals = [problem(503, "Not now")]
    assert typed_so_far(shell, "hostler --context prod chat d") == []
    assert len(api.requests) == asked + 1
    assert typed_so_far(shell, "hostler jobs get d") == []
