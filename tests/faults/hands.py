"""How a user asks: each wish is tried until it is answered, and every try goes into the notebook before the next one is made."""

import json
import threading
import time
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
