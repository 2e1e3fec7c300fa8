"""Settings of the scheduler, read once by `__main__` and passed down as values."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings


class SchedulerSettings(OpsSettings):
    """What the scheduler alone has (`HOSTLER_SCHEDULER_...`)."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_SCHEDULER_")

    node_stale_seconds: float = Field(default=30.0, gt=0)
    """A node that its provisioner has not reported for this long takes no new replicas; a few times the provisioner's report period."""
    resync_seconds: float = Field(default=5.0, gt=0)
    """Longest time between two looks at everything, which repairs what a lost wake-up missed."""
    lease_seconds: int = Field(default=5, ge=1)
    """Time to live of the leader's lease: how long nothing is placed after a leader died."""
