"""What a user may ask of `hostler up`, as one value that can also travel to the background process."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hostler_cli.supervisor.conf_files import SYNC_ALWAYS

API_PORT: Final = 8080
ROUTER_PORT: Final = 8000
START_TIMEOUT_SECONDS: Final = 120.0

SERVICES: Final = ("api", "scheduler", "provisioner", "router", "autoscaler")
SCALABLE: Final = ("api", "scheduler", "router", "autoscaler")
"""The api and the router share a port between instances, the others elect a leader. One machine has one provisioner:
its local backend owns the replicas' processes."""
INSTANCES_MAX: Final = 16
_DURATION: Final = re.compile(r"[1-9][0-9]*(ms|s|m|h)")


class BadOption(Exception):
    """An option has a value that makes no sense; the message says which and what would be right."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """One wish for a running stack."""

    data_dir: Path
    """Absolute."""
    api_port: int = API_PORT
    """0 lets the supervisor choose a free port, as for `router_port`."""
    router_port: int = ROUTER_PORT
    scale: tuple[tuple[str, int], ...] = ()
    """(service, instances) for each service that shall not run exactly once."""
    start_timeout_seconds: float = START_TIMEOUT_SECONDS
    sync_interval: str = SYNC_ALWAYS
    """When NATS has what it acknowledges written to disk: before, or every so often."""

    def instances(self, service: str) -> int:
        """Tell how many processes of this service to run."""
        return dict(self.scale).get(service, 1)

    def to_json(self) -> str:
        """Render for the command line of the background supervisor."""
        return json.dumps({**dataclasses.asdict(self), "data_dir": str(self.data_dir)})

    @classmethod
    def from_json(cls, text: str) -> "UpOptions":
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            data_dir=Path(fields["data_dir"]),
            api_port=int(fields["api_port"]),
            router_port=int(fields["router_port"]),
            scale=tuple((str(service), int(count)) for service, count in fields["scale"]),
            start_timeout_seconds=float(fields["start_timeout_seconds"]),
            sync_interval=str(fields["sync_interval"]),
        )


def parse_scale(wishes: list[str]) -> tuple[tuple[str, int], ...]:
    """Read `--scale router=2` wishes; of two wishes for one service the later one counts."""
    counts: dict[str, int] = {}
    for wish in wishes:
        service, equals, number = wish.partition("=")
        if service not in SERVICES or not equals:
            raise BadOption(f"--scale {wish}: write SERVICE=COUNT, with one of {', '.join(SCALABLE)}")
        if not number.isdecimal() or not 1 <= int(number) <= INSTANCES_MAX:
            raise BadOption(f"--scale {wish}: the count must be a number from 1 to {INSTANCES_MAX}")
        if service not in SCALABLE and int(number) != 1:
            raise BadOption(
                f"--scale {wish}: one machine runs exactly one {service}, which owns the processes of its replicas"
            )
        counts[service] = int(number)
    return tuple(sorted(counts.items()))


def check_ports(api_port: int, router_port: int) -> None:
    """Refuse port numbers that cannot work, before anything is started."""
    for flag, port in (("--api-port", api_port), ("--router-port", router_port)):
        if not 0 <= port <= 65535:
            raise BadOption(f"{flag} {port}: a port is a number from 1 to 65535, or 0 for any free one")
    if api_port == router_port != 0:
        raise BadOption(f"--api-port {api_port}: the router has the same port; choose two different ones")


def check_sync(wish: str) -> str:
    """Give the wish back, if NATS can read it."""
    if wish != SYNC_ALWAYS and not _DURATION.fullmatch(wish):
        raise BadOption(f"--sync {wish}: write {SYNC_ALWAYS}, or a time such as 500ms, 10s or 2m")
    return wish
