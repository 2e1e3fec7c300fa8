"""Settings of the router, read once by `__main__` and passed down as values."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings


class RouterSettings(OpsSettings):
    """What the router alone has (`HOSTLER_ROUTER_...`)."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_ROUTER_")

    host: str = "127.0.0.1"
    """Address on which requests are taken."""
    port: int = 8000
    """Port for them; several router processes of one machine share it. 0 takes a free one and logs it."""
    body_bytes_max: int = Field(default=8 * 2**20, gt=0)
    """Largest request body; a larger one is refused with 413 while it arrives."""
    body_timeout_seconds: float = Field(default=60.0, gt=0)
    """How long a request body may take to arrive, so that a client that dribbles it can't hold a request open."""
    upload_bytes_max: int = Field(default=26 * 2**20, gt=0)
    """Largest form with an audio file in it, 25 MiB of audio and the rest of the form; a larger one is refused with 413 while it
    arrives."""
    upload_timeout_seconds: float = Field(default=300.0, gt=0)
    """How long such a form may take to arrive."""
    upload_memory_bytes: int = Field(default=2**20, gt=0)
    """How much of such a form is held in memory; what is larger lies in a temporary file until it is answered."""
    answer_bytes_max: int = Field(default=16 * 2**20, gt=0)
    """Largest answer that is held back until it is whole. A larger one is passed on as it comes and can't be retried."""
    event_bytes_max: int = Field(default=4 * 2**20, gt=0)
    """Largest single event of a stream; a replica that sends a larger one counts as broken."""
    connect_timeout_seconds: float = Field(default=2.0, gt=0)
    """How long a connection to a replica may take before another replica is tried."""
    stall_timeout_seconds: float = Field(default=60.0, gt=0)
    """Longest silence of a replica in the middle of an answer; the job's own request timeout holds until it begins."""
    replica_keep_alive_seconds: float = Field(default=4.0, ge=0)
    """How long an unused connection to a replica is kept; below the 5 seconds after which the runtimes close theirs."""
    retries_max: int = Field(default=2, ge=0)
    """How many other replicas are tried when one fails before anything was sent to the client."""
    metrics_period_seconds: float = Field(default=5.0, gt=0)
    """Length of a load window; the autoscaler sees load at this grain."""
    usage_period_seconds: float = Field(default=1.0, gt=0)
    """How often finished requests that could not be stored for the usage in time are sent again."""
    presence_ttl_seconds: int = Field(default=10, ge=1)
    """After how long a router that died is not asked any more about its requests when a replica drains; renewed three times as often."""
    usage_commit_timeout_seconds: float = Field(default=0.25, ge=0)
    """How long the end of an answer is held back until its usage is stored; then it is kept in the folder below and stored later. 0 holds
    nothing back: what ended less than 0.25 seconds before a router is killed is lost then."""
    usage_batch_seconds: float = Field(default=0.002, ge=0)
    """How long finished requests are collected while earlier ones of their job are being stored."""
    data_dir: Path = Field(default=Path(".hostler"), validation_alias="HOSTLER_DATA_DIR")
    """Folder beneath which the folder below lies where it is not named."""
    usage_spool_dir: Path | None = None
    """Folder for usage that could not be stored yet, on a disk that outlives the process; several routers may share it. `usage-spool` in the
    folder above where it is not set."""
    usage_spool_bytes_max: int = Field(default=256 * 2**20, gt=0)
    """How much usage each router process may keep there; a request takes 550 to 950 bytes of it."""

    @property
    def usage_spool_folder(self) -> Path:
        """Where usage is kept that could not be stored yet."""
        return self.usage_spool_dir or self.data_dir / "usage-spool"
