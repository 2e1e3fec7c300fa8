"""Writes the table of settings in docs/operations.md from the settings classes themselves.

People run it after they changed a setting: `.venv/bin/python scripts/render_settings.py`. A test compares the page with what
this gives, so a setting can't be added, renamed or reworded without the page saying so.
"""

from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from hostler_api.settings import ApiSettings
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_kit.settings import OpsSettings, PlatformSettings, SettingsGroup
from hostler_provisioner.settings import KubernetesSettings, ProvisionerSettings
from hostler_router.settings import RouterSettings
from hostler_scheduler.settings import SchedulerSettings

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
BEGIN = "<!-- settings: written by scripts/render_settings.py -->"
END = "<!-- end of settings -->"

SERVICES: tuple[tuple[str, type[OpsSettings]], ...] = (
    ("api", ApiSettings),
    ("scheduler", SchedulerSettings),
    ("provisioner", ProvisionerSettings),
    ("router", RouterSettings),
    ("autoscaler", AutoscalerSettings),
)


def render() -> str:
    """Every setting of every service as Markdown."""
    parts = [
        "### All services",
        _table(PlatformSettings, "HOSTLER_", frozenset()),
        "### Each service, with its own name for `<SERVICE>`",
        _table(OpsSettings, "HOSTLER_<SERVICE>_", frozenset()),
    ]
    for name, group in SERVICES:
        prefix = group.model_config.get("env_prefix", "")
        parts += [f"### {name}", _table(group, prefix, frozenset(OpsSettings.model_fields))]
        if name == "provisioner":
            kubernetes = KubernetesSettings.model_config.get("env_prefix", "")
            parts += [
                "With the backend `kubevirt` also:",
                _table(KubernetesSettings, kubernetes, frozenset()),
            ]
    return "\n\n".join(parts)


def with_settings(page: str) -> str:
    """The page with what lies between its two markers written anew.

    Raises:
        ValueError: a marker is missing.
    """
    before, rest = page[: page.index(BEGIN)], page[page.index(END) :]
    return f"{before}{BEGIN}\n\n{render()}\n\n{rest}"


def _table(group: type[SettingsGroup], prefix: str, without: frozenset[str]) -> str:
    rows = (
        f"| `{_variable(name, field, prefix)}` | {_default(field)} | {_one_line(field.description or '')} |"
        for name, field in group.model_fields.items()
        if name not in without
    )
    return "\n".join(("| variable | default | meaning |", "| --- | --- | --- |", *rows))


def _variable(name: str, field: FieldInfo, prefix: str) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"{prefix}{name}".upper()


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | "" | SecretStr():
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case dict():
            return "`{}`"
        case _:
            return f"`{value}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(with_settings(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
