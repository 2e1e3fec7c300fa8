"""A guest: everything that happens inside a replica's virtual machine, as data.

Pure. The modules in `guests/` make one from a job; `cloud_init` writes it down for the machine's first boot; `manifests` takes ports,
probes and times from it. Nothing in it is ever put into a command line or a template: arguments stay a list, the environment a mapping.
"""

from dataclasses import dataclass, field

CACHE_PATH = "/var/lib/hostler/models"
"""Where the model cache is mounted in every guest."""


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file that the machine has before its server is started.

    Attributes:
        path: Absolute.
        content: Its bytes.
        mode: Its permissions, as in 0o644; it belongs to root.
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A page of the guest's server that answers 200 when all is well."""

    path: str
    port: int


@dataclass(frozen=True, slots=True)
class Guest:
    """What one machine runs.

    Attributes:
        argv: The server's command, as a list; empty for a machine that people log in to.
        env: Its environment, beside what every server gets.
        secret_env: Variables that hold keys and tokens; nowhere but in the machine's Secret.
        files: Files that it reads.
        port: Where its server listens; None where there is no endpoint.
        health: The page that says it serves; None likewise.
        shutdown_timeout_seconds: How long it may take to end its requests after SIGTERM.
        ssh_keys: Public keys of those who may log in.
        as_root: Whether its server is started by root, as what runs containers is.
        log_name: What its lines in the console's log begin with.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    secret_env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    files: tuple[GuestFile, ...] = ()
    port: int | None = None
    health: HttpCheck | None = None
    shutdown_timeout_seconds: int = 30
    ssh_keys: tuple[str, ...] = ()
    as_root: bool = False
    log_name: str = "runtime"
