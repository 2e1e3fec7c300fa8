"""The storm's users: each has jobs of its own, wishes something of them again and again, and tries each wish until it is answered.

What they do follows from a seed; when it happens follows from the machine. Every try goes into the notebook before the next one is made.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

from tests.faults.checker import TRUNCATED
from tests.faults.facts import MARK, Notebook, Request, Wish

MODEL = "made-up/model"
_TRY_SECONDS = 20.0
_WISH_SECONDS = 120.0
_BETWEEN_TRIES_SECONDS = 0.2
_CREATED = 202


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a stack is, and how to get in."""

    api_url: str
    router_url: str
    key: str = field(repr=False)

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        # Nothing here speaks TLS, and reading the certificates for each of fifty clients takes a second.
        return httpx2.Client(headers=headers, timeout=_TRY_SECONDS, verify=False)


def body_of(mark: str, *, name: str, replicas: int, tokens: int = 4) -> dict[str, object]:
    """A creation: quick simulated replicas, as many as asked, whatever the load."""
    return {
        "model": MODEL,
        "name": name,
        "runtime": "simulated",
        "hardware_profile": "cpu.small",
        "labels": {MARK: mark},
        "scaling": {"min_replicas": replicas, "max_replicas": replicas},
        "serving": {
            "args": {
                "first_token_seconds": "0.02",
                "tokens_per_second": "100",
                "completion_tokens": str(tokens),
            }
        },
    }


class Hands:
    """Sends requests and notes what came of them."""

    def __init__(self, user: str, addresses: Addresses, notebook: Notebook) -> None:
        self._user = user
        self._addresses = addresses
        self._notebook = notebook
        self._client = addresses.client()
        self._count = 0

    def close(self) -> None:
        self._client.close()

    def new_mark(self) -> str:
        self._count += 1
        return f"{self._user}-{self._count}"

    def create(self, body: dict[str, object], mark: str) -> Request:
        return self._insist(Wish.CREATE, "POST", "/v1/jobs", mark, None, body, {"Idempotency-Key": mark})

    def create_once(self, body: dict[str, object], mark: str) -> Request:
        return self._try(Wish.CREATE, "POST", "/v1/jobs", mark, None, body, {"Idempotency-Key": mark})

    def update(self, job_id: str, patch: dict[str, object], mark: str) -> Request:
        patch = {**patch, "labels": {MARK: mark}}
        return self._insist(Wish.UPDATE, "PATCH", f"/v1/jobs/{job_id}", mark, job_id, patch)

    def ask(self, wish: Wish, job_id: str) -> Request:
        """Restart, stop, resume or delete."""
        method, path = ("DELETE", "") if wish is Wish.DELETE else ("POST", f"/{wish}")
        return self._insist(wish, method, f"/v1/jobs/{job_id}{path}", self.new_mark(), job_id, None)

    def chat(self, job_id: str, *, stream: bool) -> Request:
        """One request to the router, tried once."""
        began = time.monotonic()
        body = {"model": job_id, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        url = f"{self._addresses.router_url}/v1/chat/completions"
        status, said = None, ""
        try:
            with self._client.stream("POST", url, json=body) as answer:
                text = answer.read().decode()
                status = answer.status_code
            if status != 200:
                said = text[:300]
            elif stream and "data: [DONE]" not in text:
                said, status = (text[-300:], None) if '"error"' in text else (TRUNCATED, None)
        except httpx2.HTTPError as error:
            said = repr(error)
        return self._note(Wish.CHAT, began, self.new_mark(), status, job_id=job_id, said=said)

    def _insist(
        self,
        wish: Wish,
        method: str,
        path: str,
        mark: str,
        job_id: str | None,
        body: dict[str, object] | None,
        headers: dict[str, str] | None = None,
    ) -> Request:
        """Try until there is an answer that is one."""
        deadline = time.monotonic() + _WISH_SECONDS
        while True:
            tried = self._try(wish, method, path, mark, job_id, body, headers)
            if (tried.status is not None and tried.status < 500) or time.monotonic() > deadline:
                return tried
            time.sleep(_BETWEEN_TRIES_SECONDS)

    def _try(
        self,
        wish: Wish,
        method: str,
        path: str,
        mark: str,
        job_id: str | None,
        body: dict[str, object] | None,
        headers: dict[str, str] | None = None,
    ) -> Request:
        began = time.monotonic()
        try:
            answer = self._client.request(
                method, self._addresses.api_url + path, json=body, headers=headers or {}
            )
        except httpx2.HTTPError as error:
            return self._note(wish, began, mark, None, job_id=job_id, said=repr(error))
        if answer.status_code != _CREATED:
            retry_after = answer.headers.get("Retry-After")
            return self._note(
                wish,
                began,
                mark,
                answer.status_code,
                job_id=job_id,
                retry_after=retry_after,
                said=answer.text[:300],
            )
        told = answer.json()
        lasting = {
            part: told[part] for part in ("job_id", "name", "project", "model", "created_at", "created_by")
        }
        return self._note(
            wish,
            began,
            mark,
            answer.status_code,
            job_id=told["job_id"],
            revision=int(answer.headers["ETag"].strip('"')),
            body=json.dumps(lasting) if wish is Wish.CREATE else "",
        )

    def _note(  # one argument for each thing that is noted
        self,
        wish: Wish,
        began: float,
        mark: str,
        status: int | None,
        *,
        job_id: str | None = None,
        revision: int | None = None,
        retry_after: str | None = None,
        said: str = "",
        body: str = "",
    ) -> Request:
        request = Request(
            self._user, wish, began, time.monotonic(), mark, status, job_id, revision, retry_after, said, body
        )
        self._notebook.add(request)
        return request


def crowd(
    addresses: Addresses, notebook: Notebook, user: str, mark: str, body: dict[str, object], count: int
) -> None:
    """Send one creation from many connections at once; each tries until it is answered."""
    gate = threading.Barrier(count)

    def one(number: int) -> None:
        hands = Hands(f"{user}/{number}", addresses, notebook)
        gate.wait()
        hands.create(body, mark)
        hands.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class User(threading.Thread):
    """One of the storm's users; ends what it has begun when told to stop."""

    def __init__(
        self, name: str, addresses: Addresses, notebook: Notebook, rng: random.Random, stop: threading.Event
    ) -> None:
        super().__init__(name=name)
        self._addresses = addresses
        self._notebook = notebook
        self._hands = Hands(name, addresses, notebook)
        self._rng = rng
        self._stop_asked = stop
        self._jobs: dict[str, bool] = {}
        """Whether each living one of its jobs runs."""

    def run(self) -> None:
        while not self._stop_asked.wait(self._rng.uniform(0.2, 1.2)):
            if not self._jobs or (len(self._jobs) < 2 and self._rng.random() < 0.3):
                self._create()
            else:
                self._change(self._rng.choice(sorted(self._jobs)))
        self._hands.close()

    def _create(self) -> None:
        mark = self._hands.new_mark()
        body = body_of(mark, name=f"job-{mark}", replicas=self._rng.choice((1, 1, 2)))
        if self._rng.random() < 0.1:
            crowd(self._addresses, self._notebook, self.name, mark, body, 50)
        made = self._hands.create(body, mark)
        if made.job_id is not None:
            self._jobs[made.job_id] = True

    def _change(self, job_id: str) -> None:
        if not self._jobs[job_id]:
            wish = self._rng.choice((Wish.RESUME, Wish.RESUME, Wish.DELETE))
        else:
            wishes = (Wish.CHAT, Wish.UPDATE, Wish.RESTART, Wish.STOP, Wish.DELETE)
            (wish,) = self._rng.choices(wishes, weights=(10, 4, 2, 2, 2))
        match wish:
            case Wish.CHAT:
                self._hands.chat(job_id, stream=self._rng.random() < 0.5)
            case Wish.UPDATE:
                self._hands.update(job_id, self._patch(), self._hands.new_mark())
            case _:
                answer = self._hands.ask(wish, job_id)
                self._settle(job_id, wish, answer)

    def _patch(self) -> dict[str, object]:
        replicas = self._rng.choice((1, 2))
        changes: tuple[Callable[[], dict[str, object]], ...] = (
            dict,
            lambda: {"scaling": {"min_replicas": replicas, "max_replicas": replicas}},
            lambda: {"serving": {"args": {"tokens_per_second": str(self._rng.randint(50, 200))}}},
        )
        return self._rng.choice(changes)()

    def _settle(self, job_id: str, wish: Wish, answer: Request) -> None:
        if not answer.acknowledged:
            return
        match wish:
            case Wish.STOP:
                self._jobs[job_id] = False
            case Wish.RESUME:
                self._jobs[job_id] = True
            case Wish.DELETE:
                del self._jobs[job_id]
            case _:
                return


class Writer(threading.Thread):
    """Changes the label of one job again and again: the pulse by which recovery is measured."""

    def __init__(self, job_id: str, addresses: Addresses, notebook: Notebook, stop: threading.Event) -> None:
        super().__init__(name="writer")
        self._job_id = job_id
        self._hands = Hands("writer", addresses, notebook)
        self._stop_asked = stop

    def run(self) -> None:
        while not self._stop_asked.wait(0.25):
            self._hands.update(self._job_id, {}, self._hands.new_mark())
        self._hands.close()


class Caller(threading.Thread):
    """Asks one job that is never touched, again and again: what control-plane faults cost the data path."""

    def __init__(
        self, name: str, job_id: str, addresses: Addresses, notebook: Notebook, stop: threading.Event
    ) -> None:
        super().__init__(name=name)
        self._job_id = job_id
        self._hands = Hands(name, addresses, notebook)
        self._stop_asked = stop

    def run(self) -> None:
        stream = False
        while not self._stop_asked.wait(0.2):
            self._hands.chat(self._job_id, stream=stream)
            stream = not stream
        self._hands.close()
