"""Where a replica is: its state, and what may follow.

A replica is one serving copy of a job. It is never revived: one that failed or was terminated is replaced by a new one
with a new id. The start states (`Scheduled` to `Loading`) may be skipped forwards, because an observer that was away sees
only where a replica has got to, not the steps between.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.errors import IllegalTransition


class ReplicaState(StrEnum):
    """State of a replica."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    IMPORTING = "Importing"
    """Its root disk is being made."""
    BOOTING = "Booting"
    """Its machine runs, its runtime does not answer."""
    LOADING = "Loading"
    """Its runtime answers, the weights are not in."""
    READY = "Ready"
    UNHEALTHY = "Unhealthy"
    DRAINING = "Draining"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    FAILED = "Failed"


class ReplicaEvent(StrEnum):
    """What can happen to a replica."""

    SCHEDULED = "scheduled"
    IMPORTING = "importing"
    BOOTING = "booting"
    LOADING = "loading"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"


class ReplicaReason(StrEnum):
    """Why a replica is ending or has ended."""

    SCALED_DOWN = "ScaledDown"
    JOB_STOPPED = "JobStopped"
    JOB_DELETED = "JobDeleted"
    JOB_FAILED = "JobFailed"
    PREEMPTED = "Preempted"
    REPLACED = "Replaced"
    CANNOT_START = "CannotStart"
    """The request itself is at fault (an unknown argument, a model this cluster does not have): trying again is no use."""
    NO_ROOM = "NoRoom"
    """Its node had no room for it after all, as when two schedulers placed at once; nothing was started."""
    START_FAILED = "StartFailed"
    """Its process or machine ended before it was ready."""
    INITIALIZATION_TIMEOUT = "InitializationTimeout"
    CRASHED = "Crashed"
    """It ended after it had been ready."""
    LOST = "Lost"
    """Its process or machine is not there any more and nobody saw it end, as after a restart of the host."""
    UNRESPONSIVE = "Unresponsive"


_S = ReplicaState
_E = ReplicaEvent

START_STATES = (_S.PENDING, _S.SCHEDULED, _S.IMPORTING, _S.BOOTING, _S.LOADING)
"""From nothing to just before ready, in order."""

SERVING_STATES = (_S.READY, _S.UNHEALTHY)

ACTIVE_STATES = (*START_STATES, *SERVING_STATES)
"""What counts towards the desired number of replicas."""

ENDED_STATES = (_S.TERMINATED, _S.FAILED)
"""It holds nothing any more."""

_ENDS = {
    _E.DRAINING: _S.DRAINING,
    _E.TERMINATING: _S.TERMINATING,
    _E.FAILED: _S.FAILED,
}
_STARTING = (
    (_E.SCHEDULED, _S.SCHEDULED),
    (_E.IMPORTING, _S.IMPORTING),
    (_E.BOOTING, _S.BOOTING),
    (_E.LOADING, _S.LOADING),
    (_E.READY, _S.READY),
)


def _forwards(state: ReplicaState) -> dict[ReplicaEvent, ReplicaState]:
    """Rows of a start state: to itself (more progress), to any later one, and to its end."""
    place = START_STATES.index(state)
    return {
        event: after for number, (event, after) in enumerate(_STARTING, start=1) if number >= place
    } | _ENDS


TRANSITIONS: Mapping[ReplicaState, Mapping[ReplicaEvent, ReplicaState]] = MappingProxyType(
    {
        _S.PENDING: {_E.SCHEDULED: _S.SCHEDULED, _E.FAILED: _S.FAILED},
        _S.SCHEDULED: _forwards(_S.SCHEDULED),
        _S.IMPORTING: _forwards(_S.IMPORTING),
        _S.BOOTING: _forwards(_S.BOOTING),
        _S.LOADING: _forwards(_S.LOADING),
        _S.READY: {_E.READY: _S.READY, _E.UNHEALTHY: _S.UNHEALTHY} | _ENDS,
        _S.UNHEALTHY: {_E.READY: _S.READY, _E.UNHEALTHY: _S.UNHEALTHY} | _ENDS,
        _S.DRAINING: {
            _E.DRAINING: _S.DRAINING,
            _E.TERMINATING: _S.TERMINATING,
            _E.TERMINATED: _S.TERMINATED,
            _E.FAILED: _S.FAILED,
        },
        _S.TERMINATING: {
            _E.TERMINATING: _S.TERMINATING,
            _E.TERMINATED: _S.TERMINATED,
            _E.FAILED: _S.FAILED,
        },
        _S.TERMINATED: {_E.TERMINATED: _S.TERMINATED},
        _S.FAILED: {_E.FAILED: _S.FAILED},
    }
)


def transition(state: ReplicaState, event: ReplicaEvent) -> ReplicaState:
    """The state that follows `state` when `event` happens.

    Raises:
        IllegalTransition: the table has no row for the pair.
    """
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise IllegalTransition(f"a replica in state {state} can't take the event {event}")
    return following
