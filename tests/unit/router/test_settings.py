import pytest
from pydantic import ValidationError

from hostler_router.settings import RouterSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTLER_ROUTER_PORT", "9001")
    monkeypatch.setenv("HOSTLER_ROUTER_NAME", "router-2")
    settings = RouterSettings()
    assert (settings.port, settings.name, settings.retries_max) == (9001, "router-2", 2)


@pytest.mark.parametrize("name", sorted(RouterSettings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert RouterSettings.model_fields[name].description


@pytest.mark.parametrize(
    ("name", "value"), [("BODY_BYTES_MAX", "0"), ("RETRIES_MAX", "-1"), ("METRICS_PERIOD_SECONDS", "0")]
)
def test_a_setting_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HOSTLER_ROUTER_{name}", value)
    with pytest.raises(ValidationError):
        RouterSettings()
