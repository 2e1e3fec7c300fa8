"""Replicas that adopt servers: one active replica a server, wherever machines are or are not."""

from hostler_domain.capacity import Resources
from hostler_domain.external import ExternalServers
from hostler_domain.job import Placement
from hostler_scheduler.actions import ScheduleReplica
from tests.support.builders import created, draining, fold, scheduled
from tests.unit.scheduler.cluster import failed, plan_of

SERVERS = ExternalServers(("http://a", "http://b"))


def at_server(index):
    return Placement("external", f"endpoint-{index}", Resources())


def job(*changes, initial=2):
    return fold(
        created(
            runtime="external", hardware_profile="external", external=SERVERS, maximum=2, initial=initial
        ),
        *changes,
    )


def places(*changes, **fields):
    actions = plan_of([job(*changes, **fields)], [], profiles=()).actions
    return [action.placement for action in actions if isinstance(action, ScheduleReplica)]


def test_every_server_gets_one_replica_without_any_node_or_profile():
    assert places() == [at_server(0), at_server(1)]


def test_a_server_with_a_replica_gets_no_second_one():
    assert places(scheduled("r1", placement=at_server(0))) == [at_server(1)]


def test_a_replica_that_drains_leaves_its_server_free():
    there = scheduled("r1", placement=at_server(0)), scheduled("r2", placement=at_server(1))
    assert places(*there, draining("r1")) == [at_server(0)]


def test_a_server_that_failed_comes_after_one_that_did_not():
    # The pause after a failed start is over by then.
    gone = scheduled("r1", placement=at_server(0)), failed("r1", -100)
    assert places(*gone, initial=1) == [at_server(1)]
