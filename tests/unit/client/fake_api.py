"""The jobs API as far as clients see it, over histories that a test wrote down.

The documents and events are made by the code that makes them in the api and on the bus, so that clients are tested against the
real forms. One function answers; it is plugged in under httpx2 without a socket, or behind a real server for the command line.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx2

from hostler_api.documents import job_document
from hostler_api.explain import explanation
from hostler_api.patches import JobPatch, patched_spec
from hostler_api.requests import Known
from hostler_bus.job_log import JobEntry
from hostler_contracts import codec
from hostler_domain.changes import Change, JobDeleteRequested
from hostler_domain.errors import Conflict
from hostler_domain.job import Job
from hostler_domain.lifecycle import RestartJob, ResumeJob, StopJob, UpdateJob, decide_lifecycle
from tests.support.builders import NOW, at, created, fold

KEY = "hsk_test"


@dataclass
class FakeHistory:
    """Changes of one job, of which the first `told` have happened. The rest happens when its event stream is read."""

    changes: list[Change]
    told: int

    @property
    def job(self) -> Job:
        return fold(*self.changes[: self.told])


@dataclass
class FakeApi:
    """Answers requests and remembers them."""

    histories: list[FakeHistory] = field(default_factory=list)
    refusals: list[httpx2.Response] = field(default_factory=list)
    """Given to the next requests instead of answers, in order."""
    requests: list[httpx2.Request] = field(default_factory=list)
    streams_to_break: int = 0
    """So many of the next event streams end in a broken connection."""
    after_creation: list[Change] = field(default_factory=list)
    """What happens to a job that is created, once its event stream is read."""
    page_size: int = 2
    logs: dict[str, list[str]] = field(default_factory=dict)
    """What replicas have written at each look at them, by id; one ended when nothing is left to come."""

    def add(self, *changes: Change, told: int | None = None) -> None:
        self.histories.append(FakeHistory(list(changes), len(changes) if told is None else told))

    def bodies(self, method: str) -> list[dict[str, object]]:
        return [json.loads(request.content) for request in self.requests if request.method == method]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.refusals:
            return self.refusals.pop(0)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "The API key is missing or not valid")
        parts = request.url.path.strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(urlsplit(str(request.url)).query).items()}
        if request.method == "POST" and len(parts) == 2:
            return self._create(request)
        if len(parts) == 2:
            return self._list(query)
        history = self._find(parts[2])
        if history is None:
            return problem(404, "There is no such thing", f"there is no job {parts[2]!r}")
        if request.method == "PATCH" or (request.method == "POST" and len(parts) == 4):
            return self._command(history, request, parts[-1])
        if len(parts) == 4 and parts[3] == "explain":
            explained = explanation(history.job, None).model_dump_json()
            return httpx2.Response(200, text=explained, headers={"content-type": "application/json"})
        if len(parts) == 6 and parts[3] == "replicas" and parts[5] == "logs":
            return self._log(parts[4], query)
        if len(parts) == 4:
            return self._events(history, request, query)
        if request.method == "DELETE":
            history.changes.insert(history.told, JobDeleteRequested(at(100), "key-1"))
            history.told += 1
            return _document(history, 202)
        return _document(history, 200)

    def _create(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if self._find(body.get("name", "")):
            return problem(409, "The present state does not allow it", "the name is taken")
        self.add(
            created(model=body.get("model", ""), name=body.get("name") or "made-up"),
            *self.after_creation,
            told=1,
        )
        return _document(self.histories[-1], 202)

    def _command(self, history: FakeHistory, request: httpx2.Request, verb: str) -> httpx2.Response:
        """Stop, resume, restart or update, as the domain decides it."""
        job = history.job
        command: StopJob | ResumeJob | RestartJob | UpdateJob
        match verb:
            case "stop":
                command = StopJob(at(100), "key-1")
            case "resume":
                command = ResumeJob(at(100), "key-1")
            case "restart":
                of_generation = int(str(request.url).rpartition("of_generation=")[2])
                command = RestartJob(at(100), "key-1", of_generation)
            case _:
                patch = JobPatch.model_validate_json(request.content)
                profiles = {job.spec.hardware_profile: None}
                spec = patched_spec(job, patch, Known(None, profiles, ()))  # type: ignore[arg-type]  # only names count
                command = UpdateJob(at(100), spec, "key-1")
        try:
            changes = decide_lifecycle(job, command)
        except Conflict as error:
            return problem(409, "The present state does not allow it", str(error))
        for change in changes:
            history.changes.insert(history.told, change)
            history.told += 1
        return _document(history, 202)

    def _list(self, query: dict[str, str]) -> httpx2.Response:
        start = int(query.get("after") or "0")
        page = self.histories[start : start + self.page_size]
        more = start + self.page_size < len(self.histories)
        data = [json.loads(_document(history, 200).content) for history in page]
        return httpx2.Response(
            200, json={"data": data, "has_more": more, "next": str(start + self.page_size) if more else None}
        )

    def _events(
        self, history: FakeHistory, request: httpx2.Request, query: dict[str, str]
    ) -> httpx2.Response:
        after = int(request.headers.get("last-event-id") or query.get("after") or "0")
        if request.headers.get("accept") == "text/event-stream":
            if self.streams_to_break:
                self.streams_to_break -= 1
                raise httpx2.ReadError("connection reset", request=request)
            history.told = len(history.changes)
            frames = "".join(
                f"id: {each['sequence']}\nevent: x\ndata: {json.dumps(each)}\n\n"
                for each in events_of(history, after)
            )
            return httpx2.Response(
                200,
                text=": keep-alive\n\n" + frames,
                headers={"content-type": "text/event-stream; charset=utf-8"},
            )
        found = events_of(history, after)
        page, more = found[: self.page_size], len(found) > self.page_size
        return httpx2.Response(
            200, json={"data": page, "has_more": more, "next": page[-1]["sequence"] if more else None}
        )

    def _log(self, replica_id: str, query: dict[str, str]) -> httpx2.Response:
        texts = self.logs.get(replica_id)
        if not texts:
            return problem(404, "There is no such thing", f"there is no log of the replica {replica_id!r}")
        ended = len(texts) == 1
        text = texts[0] if ended else texts.pop(0)
        lines = text.splitlines(keepends=True)
        shown = text[int(query["after"]) :] if "after" in query else "".join(lines[-int(query["tail"]) :])
        part = {"replica_id": replica_id, "text": shown, "next": len(text), "ended": ended}
        return httpx2.Response(200, json=part)

    def _find(self, job: str) -> FakeHistory | None:
        return next((each for each in self.histories if job in (each.job.job_id, each.job.spec.name)), None)

    def served(self) -> AbstractContextManager[str]:
        """The same behind a real server on loopback; its address."""
        return served(self.answer)


@contextmanager
def served(answer: Callable[[httpx2.Request], httpx2.Response]) -> Iterator[str]:
    """A real server on loopback that answers with this function; its address."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            request = httpx2.Request(
                self.command,
                f"http://fake{self.path}",
                headers=list(self.headers.items()),
                content=self.rfile.read(length),
            )
            reply = answer(request)
            self.send_response(reply.status_code)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - names that http.server looks for

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the parent calls it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def problem(
    status: int, title: str, detail: str = "", *, headers: dict[str, str] | None = None, **more: object
) -> httpx2.Response:
    """A refusal as the api writes it."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": "req-1",
        **more,
    }
    content_type = {"content-type": "application/problem+json"}
    return httpx2.Response(status, content=json.dumps(body).encode(), headers=content_type | (headers or {}))


def _document(history: FakeHistory, status: int) -> httpx2.Response:
    document = job_document(JobEntry(history.job, history.told))
    return httpx2.Response(
        status, content=document.model_dump_json().encode(), headers={"content-type": "application/json"}
    )


def events_of(history: FakeHistory, after: int) -> list[dict[str, object]]:
    """Events as the api shows them; sequences begin at 1."""
    events = []
    for sequence in range(after + 1, history.told + 1):
        change, job = history.changes[sequence - 1], fold(*history.changes[:sequence])
        event = codec.event_for(change, job, event_id=f"e{sequence}", source="/hostler/test", time=NOW)
        events.append({"sequence": sequence, **json.loads(codec.encode(event))})
    return events
