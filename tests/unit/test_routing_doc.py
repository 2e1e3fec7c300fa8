"""docs/routing.md names every choice that there is, with its default, its option and its words."""

import re
from dataclasses import fields
from pathlib import Path

import typer.main

from hostler_cli.deploy import deploy
from hostler_cli.lifecycle import update
from hostler_domain.routing import EXTRA_ROUTES, Balancing, Routing
from hostler_router.models import one_model
from hostler_router.table import RouteTable
from tests.support.builders import running_job

PAGE = (Path(__file__).parents[2] / "docs/routing.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| `--([a-z-]+)`", PAGE, flags=re.MULTILINE))


def test_every_choice_has_its_row_with_the_default() -> None:
    told = dict(re.findall(r"^\| `([a-z_]+)` \| `--.*?` \| (.*?) \|", PAGE, flags=re.MULTILINE))
    words = {None: "the router's", (): "none", True: "true"}
    default = Routing()
    assert told == {
        field.name: words.get(value, f"`{value}`" if isinstance(value, str) else str(value))
        for field in fields(Routing)
        for value in (getattr(default, field.name),)
    }


def test_every_option_is_one_of_both_commands() -> None:
    for command in (deploy, update):
        app = typer.Typer()
        app.command()(command)
        options = {option for each in typer.main.get_command(app).params for option in each.opts}
        assert {f"--{option}" for option in ROWS.values()} <= options


def test_every_word_is_told() -> None:
    for word in (*Balancing, *EXTRA_ROUTES):
        assert f"`{word}`" in PAGE


def test_what_the_page_says_of_a_models_meta_is_there() -> None:
    entry = RouteTable([running_job()]).get(running_job().job_id)
    assert entry is not None
    for name in re.findall(r"`meta\.([a-z_]+)`", PAGE):
        assert f'"{name}"' in one_model(entry).decode()
