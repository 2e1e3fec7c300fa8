"""docs/operations.md says what the code does, where that can be compared."""

import re
from pathlib import Path

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor.layout import DataLayout
from scripts.render_settings import BEGIN, END, SERVICES, render, with_settings

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")


def test_the_settings_table_is_what_the_classes_say():
    """If this fails: `.venv/bin/python scripts/render_settings.py`."""
    assert with_settings(PAGE) == PAGE


def test_every_setting_has_a_text():
    rows = [line.split(" | ") for line in render().splitlines() if line.startswith("| `")]
    assert [row for row in rows if len(row) != 3 or not row[2].rstrip(" |")] == []


def test_every_setting_of_a_service_is_in_its_table():
    text = render()
    missing = [
        (service, field)
        for service, group in SERVICES
        for field in group.model_fields
        if f"_{field.upper()}`" not in text
    ]
    assert missing == []


def test_rendering_changes_nothing_outside_the_markers():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    rendered = with_settings(page)
    assert (rendered[:7], rendered[-6:], "old\n" in rendered) == ("before\n", "after\n", False)


def test_every_exit_code_is_explained():
    section = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    assert {str(int(code)) for code in ExitCode} == set(
        re.findall(r"^\| (\d+) \|", section, flags=re.MULTILINE)
    )


def test_every_file_of_a_data_folder_is_explained():
    layout = DataLayout(Path("data"))
    names = {
        path.name
        for name in dir(DataLayout)
        if isinstance(path := getattr(layout, name), Path) and path != layout.data_dir
    }
    section = PAGE.partition("## Data folder")[2].partition("\n## ")[0]
    assert set() == {name for name in names if f"`{name}`" not in section and f"`{name}/`" not in section}


def test_alerts_ask_for_figures_that_there_are():
    """What docs/observability.md lists is held to the code by a test of its own."""
    section = PAGE.partition("### Alerts worth having")[2].partition("\n## ")[0]
    asked = {name.removesuffix("_bucket") for name in re.findall(r"hostler_router_([a-z_]+)", section)}
    listed = re.findall(
        r"^\| `([a-z0-9_]+)` \| (?:counter|gauge|histogram)",
        (Path(__file__).parents[2] / "docs/observability.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert "usage_lost_total" in asked
    assert asked - set(listed) == set()
