"""Who may do what at NATS: the lists fit the events, the buckets and the services that there are."""

import pytest

from hostler_bus.matching import matches
from hostler_bus.permissions import ACCESS, inbox_prefix, permissions_of
from hostler_bus.topology import TOPOLOGY
from hostler_cli.supervisor.options import SERVICES
from hostler_contracts import subjects
from hostler_contracts.job_events import EVENT_MODELS

SERVICE = pytest.mark.parametrize("service", SERVICES)
EVENTS = {
    model.model_fields["type"].default.removeprefix("dev.hostler.").rpartition(".")[0]
    for model in EVENT_MODELS
}
"""Names of all events, such as `replica.ready`."""


def may_publish(service: str, subject: str) -> bool:
    return any(matches(pattern, subject) for pattern in permissions_of(service).publish)


def test_every_service_has_its_lists() -> None:
    assert set(ACCESS) == set(SERVICES)


def test_every_event_that_there_is_has_a_writer_and_no_other_is_listed() -> None:
    assert {event for access in ACCESS.values() for event in access.events} == EVENTS


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_an_event_is_appended_by_those_that_list_it_alone(event: str) -> None:
    subject = subjects.job_event("default", "j1", event)
    assert [name for name, access in ACCESS.items() if event in access.events] == [
        service for service in SERVICES if may_publish(service, subject)
    ]


@SERVICE
def test_only_what_is_declared_is_listed(service: str) -> None:
    access = ACCESS[service]
    named = {*access.buckets, *(bucket for bucket, _ in access.writes)}
    assert named <= {bucket.name for bucket in TOPOLOGY.buckets}
    assert set(access.streams) <= {stream.name for stream in TOPOLOGY.streams}


def test_the_api_alone_declares() -> None:
    creating = [s for s in SERVICES if may_publish(s, "$JS.API.STREAM.CREATE.JOBS")]
    assert creating == ["api"]


@SERVICE
@pytest.mark.parametrize("verb", ["DELETE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT"])
def test_nobody_may_take_anything_out_of_a_stream(service: str, verb: str) -> None:
    assert not any(
        may_publish(service, f"$JS.API.STREAM.{verb}.{stream.name}") for stream in TOPOLOGY.all_streams
    )


@SERVICE
def test_replies_to_a_service_reach_no_other(service: str) -> None:
    listening = permissions_of(service).subscribe
    others = [inbox_prefix(other) for other in (*SERVICES, "operator", None) if other != service]
    assert not any(matches(pattern, f"{other}.x.y") for pattern in listening for other in others)
