"""Settings of the api (`HOSTLER_API_...`)."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings


class ApiSettings(OpsSettings):
    """Settings of the api."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_API_")

    host: str = "127.0.0.1"
    """Address on which the API is served."""
    port: int = 8080
    """Port on which it is served; several api processes may share one."""
    admin_host: str | None = None
    """Address of a listener of its own for the routes that only admins may call; the public one has them where it is not set."""
    admin_port: int = 8081
    """Port of that listener."""
    admin_key_file: Path | None = None
    """File with the bootstrap admin key; the key in it is made known at every start. None makes none known."""
    lease_seconds: int = 5
    """How long a lease lasts that is not renewed; after a crash another api records metric history so much later."""
    history_period_seconds: float = 5.0
    """How often what routers reported is written to metric history."""
    events_idle_seconds: float = 15.0
    """Time without an event after which a stream of events carries a comment, so that proxies keep it open."""
