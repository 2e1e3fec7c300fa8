"""The description of the API says of every route what holds for all of them."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from hostler_api.app import FORMS, create_app
from hostler_api.openapi import TAGS
from hostler_api.route_access import route_table
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_kit.clock import SystemClock
from tests.support.api import assembly_on
from tests.support.recorded_history import RecordedHistory


@cache
def described() -> tuple[dict[str, Any], dict[tuple[str, str], str | None]]:
    """The document, and the scope of each operation."""

    async def make() -> tuple[dict[str, Any], dict[tuple[str, str], str | None]]:
        clock = SystemClock()
        parts = assembly_on(MemoryBus(MemoryServer(clock=clock))).parts(RecordedHistory())
        app = create_app(parts, logger=structlog.get_logger(), clock=clock, registry=CollectorRegistry())
        scopes = {(row.path.replace(":path", ""), row.method.lower()): row.scope for row in route_table(app)}
        return app.openapi(), scopes

    return asyncio.run(make())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    found = [
        (path, method, operation)
        for path, item in described()[0]["paths"].items()
        for method, operation in item.items()
    ]
    assert len(found) > 100
    yield from found


def test_every_operation_has_a_name_of_its_own_a_summary_a_description_and_a_known_tag() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert sorted(set(names)) == sorted(names)
    tags = {name for name, _ in TAGS}
    for path, method, operation in operations():
        assert re.fullmatch(r"[a-z0-9_]+", operation["operationId"]), operation["operationId"]
        assert operation["summary"], (path, method)
        assert operation["description"], (path, method)
        assert set(operation["tags"]) <= tags, (path, method)
        assert operation["tags"], (path, method)


def test_every_guarded_operation_says_so_with_its_scope_and_answers_401_and_403() -> None:
    scopes = described()[1]
    for path, method, operation in operations():
        scope = scopes[path, method]
        if scope is None:
            assert operation["security"] == [], (path, method)
            continue
        assert operation["security"] == [{"bearer": [scope]}, {"apiKey": [scope]}], (path, method)
        assert {"401", "403", "503"} <= set(operation["responses"]), (path, method)


def test_every_error_has_the_form_of_its_surface_and_no_other() -> None:
    for path, method, operation in operations():
        form = next(each for each in FORMS if path.startswith(each.prefix))
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"] == form.content(int(status)), (path, method, status)


def test_every_answer_has_the_requests_id_and_what_its_status_brings() -> None:
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            headers = set(answer["headers"])
            assert "X-Request-Id" in headers, (path, method, status)
            assert ("WWW-Authenticate" in headers) is (status == "401"), (path, method, status)
            assert ("Retry-After" in headers) is (status == "503"), (path, method, status)


def test_nothing_is_referred_to_that_is_not_there_and_nothing_of_the_frameworks_is_left() -> None:
    document = described()[0]
    for reference in re.findall(r"'#/components/(\w+)/([^']+)'", str(document)):
        assert reference[1] in document["components"][reference[0]], reference
    assert "HTTPValidationError" not in str(document)


def test_what_is_made_links_to_what_can_be_asked_about_it() -> None:
    linked = {
        operation["operationId"]: set(answer["links"])
        for _, _, operation in operations()
        for answer in operation["responses"].values()
        if "links" in answer
    }
    assert {"get_job", "delete_job", "job_events", "stop_job", "job_metrics"} <= linked["create_job"]
    assert {"runai_get_inference", "runai_get_workload"} <= linked["runai_create_inference"]
    assert len(linked) == 7


def test_a_jobs_events_are_described_as_a_page_and_as_a_stream() -> None:
    events = described()[0]["paths"]["/v1/jobs/{job}/events"]["get"]["responses"]["200"]
    assert set(events["content"]) == {"application/json", "text/event-stream"}
