"""Settings of the router, read once by `__main__` and passed down as values."""

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
    """How often finished requests are stored for the usage; a router that is killed loses no more than this."""
    presence_ttl_seconds: int = Field(default=10, ge=1)
    """After how long a router that died is not asked any more about its requests when a replica drains; renewed three times as often."""
    limits_timeout_seconds: float = Field(default=0.005, gt=0)
    """How long a request of a key or project with limits waits for Valkey; then this router's share of the limits decides."""
    limits_lease_seconds: float = Field(default=30.0, ge=3.0)
    """After how long the requests under way of a router that was killed stop counting against a limit on concurrency; renewed three times as often."""
    limits_tokens_default: int = Field(default=1024, ge=0)
    """How many tokens of an answer are set aside against a limit on tokens where the request does not say how many it wants at most."""
