"""How the backend behaves towards its cluster; what is made there is said by `machine.ClusterSettings`. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """How patient to be with the API server.

    Attributes:
        request_timeout_seconds: For one call.
        requests_max: Calls at once.
        watch_seconds: Longest life of one watch; the next goes on where it ended.
        relist_seconds: Between two lists, which repair what no watch has told.
        heartbeat_seconds: A server that has said nothing for so long is asked for a sign of life.
        unreachable_seconds: One that has said nothing for so long can't be reached.
    """

    request_timeout_seconds: float = 10.0
    requests_max: int = 16
    watch_seconds: int = 60
    relist_seconds: float = 300.0
    heartbeat_seconds: float = 5.0
    unreachable_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the rest may take.

    Attributes:
        probe_period_seconds: Between two looks at the health page of a server.
        probe_timeout_seconds: For one look.
        deletion_deadline_seconds: A deletion that takes longer is stuck, which is told.
        turn_seconds: Longest time between two looks at everything.
        local_storage: Whether a disk can only be used on the node where it was made.
    """

    probe_period_seconds: float = 1.0
    probe_timeout_seconds: float = 3.0
    deletion_deadline_seconds: float = 300.0
    turn_seconds: float = 5.0
    local_storage: bool = False
