"""Single faults on a real stack: a log that is killed or stands still (row 3 of the fault matrix), one wish that comes fifty times across a crash
(row 14), and a supervisor that is killed.
"""

import math
import os
import signal
import threading
import time

import httpx2
import pytest

from hostler_cli.supervisor.state_file import read_state
from tests.e2e.conftest import until
from tests.faults.checker import check, failed_chats, unsettled
from tests.faults.conftest import Site
from tests.faults.facts import Request, Sample, Wish, read_facts
from tests.faults.hands import Hands, body_of, crowd
from tests.faults.killer import Prey, prey_named
from tests.faults.report import recoveries_seconds
from tests.faults.stream import StreamReader
from tests.faults.users import Caller, Writer
from tests.faults.witness import Census, dismiss, start_witness

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FROZEN_SECONDS = 10.0
RECOVERY_SECONDS_MAX = 10.0
ROUNDS_MAX = 5


def test_a_log_that_is_killed_again_and_again_loses_nothing_and_is_back_within_ten_seconds(
    site: Site,
) -> None:
    hands = Hands("killed", site.addresses, site.notebook)
    job_id = site.serving_job(hands, "killed")
    stop = threading.Event()
    writers = [Writer(job_id, site.addresses, site.notebook, stop) for _ in range(2)]
    for writer in writers:
        writer.start()
    killed_at = []
    for _ in range(5):
        killed_at.append(kill_nats(site))
        until(lambda: recoveries_seconds(site.requests(), killed_at)[-1] < math.inf, "it is written to again")
    stop.set()
    for writer in writers:
        writer.join()

    recoveries = recoveries_seconds(site.requests(), killed_at)
    print(f"writes after each kill: {', '.join(f'{seconds:.1f} s' for seconds in recoveries)}")
    assert max(recoveries) < RECOVERY_SECONDS_MAX
    assert check(site.requests(), site.reader.catch_up(), []) == []
    hands.ask(Wish.DELETE, job_id)
    hands.close()


def kill_nats(site: Site) -> float:
    """End nats-server as soon as there is one; tell when."""
    found: list[Prey] = []

    def lives() -> bool:
        found.extend(prey for prey in [prey_named(site.layout, "nats")] if prey is not None)
        return bool(found)

    until(lives, "nats-server lives")
    at = time.monotonic()
    os.kill(found[0].pid, signal.SIGKILL)
    return at


def test_a_log_that_stands_still_is_answered_with_503_and_loses_nothing(site: Site) -> None:
    hands = Hands("frozen", site.addresses, site.notebook)
    job_id = site.serving_job(hands, "frozen")
    served_from = time.monotonic()
    stop = threading.Event()
    users = [
        Writer(job_id, site.addresses, site.notebook, stop),
        *(Caller(f"caller{number}", job_id, site.addresses, site.notebook, stop) for number in range(2)),
    ]
    for user in users:
        user.start()
    nats = prey_named(site.layout, "nats")
    assert nats is not None

    os.kill(nats.pid, signal.SIGSTOP)
    frozen_at = time.monotonic()
    try:
        mark = hands.new_mark()
        tried = hands.create_once(body_of(mark, name="late", replicas=1), mark)
        time.sleep(max(frozen_at + FROZEN_SECONDS - time.monotonic(), 0))
    finally:
        os.kill(nats.pid, signal.SIGCONT)
    thawed_at = time.monotonic()
    late = hands.create(body_of(mark, name="late", replicas=1), mark)
    stop.set()
    for user in users:
        user.join()

    assert (tried.status, tried.retry_after) == (503, "1")
    assert late.acknowledged
    requests = site.requests()
    assert [each for each in requests if frozen_at < each.began < thawed_at - 6 and each.wish is Wish.UPDATE]
    (recovery_seconds,) = recoveries_seconds(requests, [thawed_at])
    print(f"writes {recovery_seconds:.1f} s after the thaw")
    assert recovery_seconds < RECOVERY_SECONDS_MAX
    assert check(requests, site.reader.catch_up(), []) == []
    # The data path does not notice.
    chats = [each for each in requests if each.began > served_from]
    assert failed_chats(chats, [], job_id) == []
    assert sum(frozen_at < each.began < thawed_at and each.wish is Wish.CHAT for each in chats) > 10
    for each in (job_id, late.job_id):
        hands.ask(Wish.DELETE, str(each))
    hands.close()


def test_one_key_that_comes_fifty_times_across_a_crash_makes_one_job(site: Site) -> None:
    for number in range(ROUNDS_MAX):
        mark = f"crash-{number}"
        answers = fifty_across_a_crash(site, mark, body_of(mark, name=f"once-{number}", replicas=1))
        if any(each.status is None for each in answers):
            break
    else:
        pytest.fail("no request was under way when the api was killed")

    acknowledged = [each for each in answers if each.acknowledged]
    assert len({each.user for each in acknowledged}) == 50
    assert len({(each.job_id, each.body) for each in acknowledged}) == 1
    assert check(site.requests(), site.reader.catch_up(), []) == []
    assert sum(event.mark == mark for event in site.reader.events if event.name == "job.created") == 1
    other = httpx2.post(
        f"{site.addresses.api_url}/v1/jobs",
        json=body_of(mark, name="another", replicas=1),
        headers={"Authorization": f"Bearer {site.addresses.key}", "Idempotency-Key": mark},
        timeout=30,
    )
    assert other.status_code == 422


def fifty_across_a_crash(site: Site, mark: str, body: dict[str, object]) -> list[Request]:
    """Send one creation fifty times at once, and kill the api when the first of them has an answer."""

    def answers() -> list[Request]:
        return [each for each in site.requests() if each.mark == mark]

    crowding = threading.Thread(target=crowd, args=(site.addresses, site.notebook, mark, mark, body, 50))
    api = prey_named(site.layout, "api-1")
    assert api is not None
    crowding.start()
    while not answers() and crowding.is_alive():
        time.sleep(0.001)
    os.kill(api.pid, signal.SIGKILL)
    crowding.join()
    return answers()


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_has_every_wish(site: Site) -> None:
    hands = Hands("heir", site.addresses, site.notebook)
    job_id = site.serving_job(hands, "heir")
    hands.update(job_id, {"scaling": {"min_replicas": 2, "max_replicas": 2}}, hands.new_mark())
    state = read_state(site.layout.state_file)
    assert state is not None
    path = site.path.with_name("living.jsonl")
    witness = start_witness(site.stack.data_dir, path)

    os.kill(state.supervisor_pid, signal.SIGKILL)
    # At once, while the guard is still ending what the supervisor left.
    site.stack.up()
    again = read_state(site.layout.state_file)
    assert again is not None
    reader = StreamReader(again.nats_url, site.layout.nats_password_file)
    census = Census(site.stack.data_dir)
    try:
        until(
            lambda: unsettled(reader.catch_up(), census.living()) == [],
            "every job is as wanted",
            timeout_seconds=90,
        )
        until(lambda: hands.chat(job_id, stream=True).acknowledged, "it answers")
    finally:
        dismiss(witness)
    hands.close()

    samples = read_facts(path, Sample)
    assert check(site.requests(), reader.events, samples) == []
    before, after = set(samples[0].living), set(samples[-1].living)
    assert before
    assert not before & after
