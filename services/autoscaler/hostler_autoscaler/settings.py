"""Settings of the autoscaler, read once by `__main__` and passed down as values."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings


class AutoscalerSettings(OpsSettings):
    """What the autoscaler alone has (`HOSTLER_AUTOSCALER_...`)."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_AUTOSCALER_")

    tick_seconds: float = Field(default=2.0, gt=0, le=10)
    """How often every job is decided upon. Well below the 20 seconds after which data count as interrupted."""
    save_seconds: float = Field(default=20.0, gt=0, le=30)
    """How often what was learnt about a job is stored, besides after every change; a restart loses no more than this."""
    lease_seconds: int = Field(default=5, ge=1)
    """Time to live of the leader's lease: how long nothing is scaled after a leader died."""
