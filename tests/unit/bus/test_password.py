"""Where a service finds its password at NATS."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from hostler_bus.connection import nats_password
from hostler_kit.secret_key import BadSecret
from hostler_kit.settings import PlatformSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nats.password"
    path.touch(mode=0o600)
    path.write_text("from-the-file\n")
    return path


def test_a_password_is_read_from_its_file(file: Path) -> None:
    assert nats_password(PlatformSettings(nats_password_file=file)) == "from-the-file"


def test_the_environment_goes_before_the_file(file: Path) -> None:
    settings = PlatformSettings(nats_password=SecretStr("given"), nats_password_file=file)
    assert nats_password(settings) == "given"


def test_a_server_without_users_needs_none() -> None:
    assert nats_password(PlatformSettings()) == ""


def test_a_file_that_others_can_read_is_refused_without_showing_it(file: Path) -> None:
    file.chmod(0o640)
    with pytest.raises(BadSecret, match=r"NATS password file .*\(chmod 600\)") as refused:
        nats_password(PlatformSettings(nats_password_file=file))
    assert "from-the-file" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match=r"nats\.password can't be read"):
        nats_password(PlatformSettings(nats_password_file=tmp_path / "nats.password"))
