"""Settings of the router, read once by `__main__` and passed down as values."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings


class UsageCommit(StrEnum):
    """Where usage is before the end of an answer leaves."""

    STREAM = "stream"
    JOURNAL = "journal"


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
    metrics_period_seconds: float = Field(default=5.0, gt=0, le=60)
    """Length of a load window; the autoscaler sees load at this grain."""
    usage_period_seconds: float = Field(default=1.0, gt=0)
    """How often finished requests that could not be stored for the usage in time are sent again."""
    presence_ttl_seconds: int = Field(default=10, ge=1)
    """After how long a router that died is not asked any more about its requests when a replica drains; renewed three times as often."""
    first_byte_timeout_seconds: float = Field(default=0.0, ge=0)
    """How long a replica may take to begin its answer before another one is tried; 0 leaves it to the job's request timeout, since
    an answer that is not streamed begins when it is complete."""
    head_timeout_seconds: float = Field(default=15.0, gt=0)
    """How long the head of a request may take to arrive."""
    keep_alive_seconds: float = Field(default=75.0, gt=0)
    """How long a client's connection is kept that no request comes on."""
    keep_alive_comment_seconds: float = Field(default=15.0, gt=0)
    """How often a client that waits for a stream, or for the next event of one, is sent a comment, so that nothing between gives it
    up."""
    concurrency_per_replica: int = Field(default=512, ge=0)
    """How many requests one replica is given at once by this process, where its job says nothing else; those beyond wait. 0 sets no
    bound."""
    queue_max: int = Field(default=1024, ge=0)
    """How many requests for one job may wait for a replica in this process, where the job says nothing else."""
    queue_timeout_seconds: float = Field(default=60.0, ge=0)
    """How long one may wait, where its job says nothing else; 0 lets none wait."""
    queue_retry_after_seconds: int = Field(default=2, ge=1)
    """When a request that found no place should be tried again."""
    idle_connections_max: int = Field(default=256, ge=0)
    """How many unused connections are kept to each replica."""
    owner_timeout_seconds: float = Field(default=600.0, gt=0)
    """How long a request may take that is passed on to the service that owns its route."""
    files_url: str | None = None
    """Base address of the service that owns `/v1/files`; without one these routes answer 501."""
    batches_url: str | None = None
    """Base address of the service that owns `/v1/batches`; without one these routes answer 501."""
    cors_origins: tuple[str, ...] = ()
    """Origins of the web pages that may call from browsers, as a JSON list such as `["https://app.example"]`; `["*"]` for all."""
    workers: int = Field(default=0, ge=0)
    """How many processes share the port, each a whole router; 0 is one for every core that this process may use. With more than
    one the process that was started looks after the others, and answers for all of them on the ops port."""
    busy_poll_seconds: float = Field(default=0.0, ge=0, le=1)
    """How long a router looks for the next event without sleeping, after it has written something. Waking up takes 50 us and more on a virtual
    machine, twice in each request; with 0.001 a router that is called often takes a whole core instead. 0 sleeps at once."""
    usage_commit: UsageCommit = UsageCommit.STREAM
    """What the end of an answer waits for: `stream`, that its usage is stored by NATS; `journal`, that it is in a file of the folder below, from
    which it goes to NATS a moment later. The second is quicker, and outlives the router but not the loss of its disk."""
    usage_commit_timeout_seconds: float = Field(default=0.25, ge=0)
    """How long the end of an answer is held back until its usage is stored; then it is kept in the folder below and stored later. 0 holds
    nothing back: what ended less than 0.25 seconds before a router is killed is lost then."""
    usage_batch_seconds: float = Field(default=0.002, ge=0)
    """How long finished requests are collected while earlier ones of their job are being stored."""
    usage_journal_gather_seconds: float = Field(default=0.1, ge=0, le=10)
    """How long finished requests of a job are collected in the journal before they are sent to NATS in one message; no answer waits for it."""
    data_dir: Path = Field(default=Path(".hostler"), validation_alias="HOSTLER_DATA_DIR")
    """Folder beneath which the folder below lies where it is not named."""
    usage_spool_dir: Path | None = None
    """Folder for usage that could not be stored yet, on a disk that outlives the process; several routers may share it. `usage-spool` in the
    folder above where it is not set."""
    usage_spool_bytes_max: int = Field(default=256 * 2**20, gt=0)
    """How much usage each router process may keep there; a request takes 550 to 950 bytes of it."""
    limits_timeout_seconds: float = Field(default=0.005, gt=0)
    """How long a request of a key or project with limits waits for Valkey; then this router's share of the limits decides."""
    limits_lease_seconds: float = Field(default=30.0, ge=3.0)
    """After how long the requests under way of a router that was killed stop counting against a limit on concurrency; renewed three times as often."""
    limits_tokens_default: int = Field(default=1024, ge=0)
    """How many tokens of an answer are set aside against a limit on tokens where the request does not say how many it wants at most."""
    upload_stall_seconds: float = Field(default=20.0, gt=0)
    """Longest silence of a client in the middle of a form with a file in it. From its first 64 KiB on it is sent to a replica while it
    arrives, and takes a place there."""

    load_gossip_seconds: float = Field(default=0.15, ge=0, le=1)
    """How often routers, and the workers of one, tell each other how many requests each has on every replica, where that has changed. 0
    tells and hears nothing: each goes by its own requests."""

    runtime_metrics_seconds: float = Field(default=10.0, ge=0)
    """How often the inference servers are asked for their own line and use of memory, each by one router; 0 asks none."""
    runtime_metrics_timeout_seconds: float = Field(default=2.0, gt=0)
    """How long such an answer may take."""

    @property
    def usage_spool_folder(self) -> Path:
        """Where usage is kept that could not be stored yet."""
        return self.usage_spool_dir or self.data_dir / "usage-spool"

    @property
    def shortest_timeout_seconds(self) -> float:
        """Of the timeouts that begin in the middle of a request."""
        return min(
            self.body_timeout_seconds,
            self.upload_stall_seconds,
            self.first_byte_timeout_seconds or self.stall_timeout_seconds,
            self.stall_timeout_seconds,
            self.keep_alive_comment_seconds,
        )
