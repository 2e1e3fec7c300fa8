"""Requests at a rate that a test sets, from clients that know nothing of the stack."""

import threading
import time

import openai

from tests.e2e.conftest import Stack

_CALLERS = 8
_QUESTION = [{"role": "user", "content": "Hello"}]


class Trace:
    """Requests at a rate that the test sets, whatever the answers take; every failure is kept."""

    def __init__(self, stack: Stack, model: str, *, rps: float) -> None:
        self.rps = rps
        self.answered = 0
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._last_at = time.monotonic()
        self._threads = [
            threading.Thread(target=self._run, args=(stack.openai(), model)) for _ in range(_CALLERS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, client: openai.OpenAI, model: str) -> None:
        while not self._stop.is_set():
            with self._turn:
                # Whoever is next waits here, and by the rate of the moment: the others stand behind.
                while (wait_seconds := self._last_at + 1 / self.rps - time.monotonic()) > 0:
                    if self._stop.wait(min(wait_seconds, 0.05)):
                        return
                self._last_at = time.monotonic()
            try:
                client.chat.completions.create(model=model, messages=_QUESTION)  # type: ignore[arg-type]  # plain dicts
                self.answered += 1
            except openai.OpenAIError as error:
                self.failures.append(error)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
