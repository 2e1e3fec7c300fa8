"""Rows 1 and 3 of the fault matrix over a Kubernetes API: services and NATS are killed at random in a storm of jobs with virtual machines.

Every day a few kills and jobs; `make storm-kubernetes` runs two hundred kills in a storm of fifty jobs.
"""

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.facts import Kill, Notebook, acknowledged, read_facts
from tests.faults.kubernetes_judge import VMIS, of_hostler
from tests.faults.kubernetes_site import ServiceKiller, gpu_job, kubernetes_site, nodes, scaled
from tests.faults.users import User
from tests.support.kubernetes.config import ClusterConfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

KILLS = scaled("HOSTLER_STORM_KILLS", 8)
JOBS = scaled("HOSTLER_STORM_JOBS", 8)
SEED = scaled("HOSTLER_STORM_SEED", 11)


def test_a_storm_of_kills_doubles_no_machine_loses_no_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    print(f"seed {SEED}, {KILLS} kills, {JOBS} jobs")
    rng = random.Random(SEED)
    users_count = max(JOBS // 5, 2)
    with kubernetes_site(tmp_path, ClusterConfig(nodes=nodes(max(JOBS // 3, 4)), guests=True)) as site:
        hands = site.hands("keeper")
        notebook = Notebook(tmp_path / "kills.jsonl")
        stop = threading.Event()
        users = [
            User(
                f"user{number}",
                site.addresses,
                site.notebook,
                random.Random(rng.random()),
                stop,
                body=gpu_job,
                jobs_max=-(-JOBS // users_count),
                chats=False,
                eager=True,
            )
            for number in range(users_count)
        ]
        killer = ServiceKiller(site, notebook, random.Random(rng.random()), kills=KILLS, gaps=(0.5, 2.5))
        began = time.monotonic()
        for each in (*users, killer):
            each.start()
        killer.join()
        stop.set()
        for user in users:
            user.join()
        calm_from = time.monotonic()
        problems = site.until_calm()
        calm_seconds = time.monotonic() - calm_from
        site.delete_all(hands)
        notebook.close()
        found = [*problems, *site.judgement()]
        made = [
            each
            for each in of_hostler(site.cluster.journal())
            if (each.resource, each.what) == (VMIS, "created")
        ]
        kills = Counter(each.target for each in read_facts(tmp_path / "kills.jsonl", Kill))
        jobs = {each.job_id for each in site.events()}

    print(
        f"{len(jobs)} jobs, {len(acknowledged(site.requests()))} acknowledged wishes, {len(made)} machines, "
        f"{sum(kills.values())} kills {dict(kills)} in {calm_from - began:.0f} s, calm after {calm_seconds:.1f} s"
    )
    assert found == []
    # What a storm without wind would show as well is no proof.
    assert sum(kills.values()) == KILLS
    assert len(made) >= JOBS


def test_a_nats_that_is_killed_again_and_again_costs_no_job_and_no_machine_twice(tmp_path: Path) -> None:
    kills = scaled("HOSTLER_NATS_KILLS", 3)
    # A GPU for each job, so that none may stay without a machine.
    shapes = nodes(1 + (2 + kills) // 8)
    with kubernetes_site(tmp_path, ClusterConfig(nodes=shapes, guests=True), twins=False) as site:
        hands = site.hands("keeper")
        jobs = [site.create(hands, f"job-{number}") for number in range(2)]
        for number in range(kills):
            site.services.nats.kill()
            # It is away for a moment in which others want something of it, which nothing tells from outside.
            time.sleep(0.3)
            site.services.nats.start()
            jobs.append(site.create(hands, f"late-{number}"))
        problems = site.until_calm()
        for job_id in jobs:
            site.until_running(job_id)
        site.delete_all(hands)
        found = [*problems, *site.judgement()]

    assert found == []
