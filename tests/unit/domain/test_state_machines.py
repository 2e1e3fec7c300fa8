"""Both state machines, walked pair by pair: what the tables say happens, and every other pair is refused."""

from itertools import product

import pytest

from hostler_domain import phases, replica_states
from hostler_domain.errors import IllegalTransition
from hostler_domain.phases import JobPhase, PhaseEvent
from hostler_domain.replica_states import START_STATES, ReplicaEvent, ReplicaState

PHASE_PAIRS = list(product(JobPhase, PhaseEvent))
STATE_PAIRS = list(product(ReplicaState, ReplicaEvent))


@pytest.mark.parametrize(("phase", "event"), PHASE_PAIRS, ids=[f"{p}-{e}" for p, e in PHASE_PAIRS])
def test_every_phase_and_event_leads_where_the_table_says_or_is_refused(
    phase: JobPhase, event: PhaseEvent
) -> None:
    expected = phases.TRANSITIONS[phase].get(event)
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{phase}.*{event}"):
            phases.transition(phase, event)
    else:
        assert expected is phases.transition(phase, event)


@pytest.mark.parametrize(("state", "event"), STATE_PAIRS, ids=[f"{s}-{e}" for s, e in STATE_PAIRS])
def test_every_state_and_event_leads_where_the_table_says_or_is_refused(
    state: ReplicaState, event: ReplicaEvent
) -> None:
    expected = replica_states.TRANSITIONS[state].get(event)
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state}.*{event}"):
            replica_states.transition(state, event)
    else:
        assert expected is replica_states.transition(state, event)


# The arrows of the architecture page, written out once more so that a slip in the table shows.
PHASE_ARROWS = [
    ("Creating", "queued", "Pending"),
    ("Pending", "placed", "Initializing"),
    ("Initializing", "ready", "Running"),
    ("Running", "short", "Degraded"),
    ("Degraded", "ready", "Running"),
    ("Running", "update_started", "Updating"),
    ("Updating", "ready", "Running"),
    ("Running", "stop_requested", "Stopping"),
    ("Degraded", "stop_requested", "Stopping"),
    ("Pending", "stop_requested", "Stopping"),
    ("Stopping", "stopped", "Stopped"),
    ("Stopped", "resume_requested", "Resuming"),
    ("Resuming", "queued", "Pending"),
    ("Initializing", "failed", "Failed"),
    ("Failed", "resume_requested", "Resuming"),
    ("Running", "preempted", "Terminating"),
    ("Terminating", "queued", "Pending"),
    ("Running", "cluster_lost", "Unknown"),
    ("Unknown", "ready", "Running"),
    ("Unknown", "queued", "Pending"),
    ("Deleting", "deleted", "Deleted"),
]


@pytest.mark.parametrize(("phase", "event", "following"), PHASE_ARROWS)
def test_the_arrows_of_the_architecture_page_are_in_the_table(phase: str, event: str, following: str) -> None:
    assert JobPhase(following) is phases.transition(JobPhase(phase), PhaseEvent(event))


@pytest.mark.parametrize("phase", [each for each in JobPhase if each is not JobPhase.DELETED])
def test_a_job_can_be_deleted_from_every_phase(phase: JobPhase) -> None:
    assert phases.transition(phase, PhaseEvent.DELETE_REQUESTED) is JobPhase.DELETING


def test_nothing_leads_out_of_deleted() -> None:
    assert set(phases.TRANSITIONS[JobPhase.DELETED].values()) == {JobPhase.DELETED}


def test_every_phase_can_be_reached_from_creating() -> None:
    reached, border = {JobPhase.CREATING}, [JobPhase.CREATING]
    while border:
        following = set(phases.TRANSITIONS[border.pop()].values()) - reached
        reached |= following
        border.extend(following)
    assert reached == set(JobPhase)


@pytest.mark.parametrize("state", START_STATES[1:])
def test_a_start_can_fail_from_every_state_and_never_goes_backwards(state: ReplicaState) -> None:
    assert replica_states.transition(state, ReplicaEvent.FAILED) is ReplicaState.FAILED
    earlier = START_STATES[1 : START_STATES.index(state)]
    assert not set(earlier) & set(replica_states.TRANSITIONS[state].values())


@pytest.mark.parametrize("state", [ReplicaState.TERMINATED, ReplicaState.FAILED])
def test_a_replica_that_ended_is_never_revived(state: ReplicaState) -> None:
    assert set(replica_states.TRANSITIONS[state].values()) == {state}
