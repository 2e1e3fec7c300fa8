"""The storm's users: each has jobs of its own, and wishes something of them again and again.

What they do follows from a seed; when it happens follows from the machine.
"""

import random
import threading
from collections.abc import Callable

from tests.faults.facts import Notebook, Request, Wish
from tests.faults.hands import Addresses, Hands, body_of, crowd


class User(threading.Thread):
    """One of the storm's users; ends what it has begun when told to stop."""

    def __init__(
        self,
        name: str,
        addresses: Addresses,
        notebook: Notebook,
        rng: random.Random,
        stop: threading.Event,
        *,
        body: Callable[..., dict[str, object]] = body_of,
        jobs_max: int = 2,
        chats: bool = True,
        eager: bool = False,
    ) -> None:
        """Make one; `body` makes a creation of a mark, a name and a number of replicas, an eager user always has as many jobs as may be."""
        super().__init__(name=name)
        self._addresses = addresses
        self._notebook = notebook
        self._body = body
        self._jobs_max = jobs_max
        self._chats = chats
        self._eager = eager
        self._hands = Hands(name, addresses, notebook)
        self._rng = rng
        self._stop_asked = stop
        self._jobs: dict[str, bool] = {}
        """Whether each living one of its jobs runs."""

    def run(self) -> None:
        while not self._stop_asked.wait(self._rng.uniform(0.2, 1.2)):
            if not self._jobs or (
                len(self._jobs) < self._jobs_max and (self._eager or self._rng.random() < 0.3)
            ):
                self._create()
            else:
                self._change(self._rng.choice(sorted(self._jobs)))
        self._hands.close()

    def _create(self) -> None:
        mark = self._hands.new_mark()
        body = self._body(mark, name=f"job-{mark}", replicas=self._rng.choice((1, 1, 2)))
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
            (wish,) = self._rng.choices(wishes, weights=(10 if self._chats else 0, 4, 2, 2, 2))
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
            self._new_args,
        )
        return self._rng.choice(changes)()

    def _new_args(self) -> dict[str, object]:
        """Other arguments for the server, which every replica has to be made anew for."""
        if self._body is body_of:
            return {"serving": {"args": {"tokens_per_second": str(self._rng.randint(50, 200))}}}
        return {"serving": {"args": {"seed": str(self._rng.randint(1, 99))}}}

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
