"""Settings that every service has; each service adds a group of its own.

Read once, in a service's `__main__`, from environment variables; passed down as values. The text under each field is its
documentation: `docs/operations.md` is rendered from it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseSettings):
    """Root of every group: frozen, documented by the texts under its fields."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True, extra="ignore")


class PlatformSettings(SettingsGroup):
    """What all services of an installation share (`HOSTLER_...`)."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_")

    nats_url: str = "nats://127.0.0.1:4222"
    """Address of the NATS server or, with commas between, of several."""
    nats_user: str = ""
    """User name at NATS; empty for a server without users."""
    nats_password: SecretStr = SecretStr("")
    """Its password."""
    nats_password_file: Path | None = None
    """File with the password, readable by its owner only; read where the variable above is empty."""
    nats_replicas: int | None = Field(default=None, ge=1, le=5)
    """How many NATS servers hold each stream and bucket, the same for all services: 3 of three servers survives the loss of one. Without a value there is one, or as many as an operator chose."""
    nats_connect_timeout_seconds: float = 30.0
    """How long a service tries to reach NATS at its start before it gives up and exits; afterwards it tries for ever."""
    projection_resync_seconds: float = Field(default=600.0, gt=0)
    """How often what a service holds in memory of the log and the catalogues is held against what is stored there, give or take a fifth. `make bench-relist` shows what one time costs."""
    valkey_url: SecretStr | None = None
    """Address of Valkey or Redis (`unix://...`, `redis://...`, `rediss://...`), for what may be lost: metric history, of which there is none without it, and limits, of which each router counts its share then."""
    valkey_url_file: Path | None = None
    """File with that address, readable by its owner only; read where the variable above is not set."""
    secret_key_file: Path | None = None
    """File with the installation's secret key, 32 bytes in base64url, readable by its owner only. Needed by api, provisioner and router."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe lines that are written."""
    log_format: Literal["json", "console", "auto"] = "auto"
    """`json` is one object a line; `auto` is `console` on a terminal and `json` elsewhere."""
    drain_timeout_seconds: float = 20.0
    """How long a service that was told to stop waits for what is under way."""
    traces_sample: float | None = Field(default=None, ge=0, le=1)
    """Share of the requests of which the router keeps a trace, where their caller did not decide; 0 keeps what callers ask for alone.
    Without a value, or without `OTEL_EXPORTER_OTLP_ENDPOINT`, there are no traces, and they cost nothing."""


class OpsSettings(SettingsGroup):
    """Fields that each service's own group begins with (`HOSTLER_<SERVICE>_...`)."""

    name: str = ""
    """Name of this process among several of its kind, such as `router-2`; the kind, the host's name and the process id where it is empty."""
    ops_host: str = "127.0.0.1"
    """Address on which /healthz, /readyz and /metrics are served."""
    ops_port: int = 0
    """Port for them; 0 takes a free one and logs it."""
