"""Workspaces and trainings: what they must have, must not have, and that errors name the field."""

from dataclasses import replace

import pytest

from hostler_domain.external import ExternalServers
from hostler_domain.job import EndpointAuth, JobSpec, Serving
from hostler_domain.kinds import DEFAULTS, MACHINE, JobKind
from hostler_domain.scaling import Scaling
from hostler_domain.spec_rules import spec_errors
from hostler_router.table import RouteTable
from tests.support.builders import created, fold, ready, scheduled, spec

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMnXKJV9dCOX4hcC2XW0Kmkoqx1nIGqMFqbKsw5kcpRA ada@laptop"
MINE = spec(
    kind=JobKind.WORKSPACE,
    model="",
    runtime=MACHINE,
    serving=Serving(),
    ssh_keys=(KEY,),
    scaling=Scaling(),
)


def fields_at_fault(wanted: JobSpec) -> list[str]:
    return [error.field for error in spec_errors(wanted, None)]


@pytest.mark.parametrize("kind", [JobKind.WORKSPACE, JobKind.TRAINING])
def test_a_machine_with_a_key_is_all_that_a_workspace_or_training_needs(kind):
    assert fields_at_fault(replace(MINE, kind=kind)) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": "Qwen/Qwen3-8B"}, "model"),
        ({"runtime": "vllm"}, "runtime"),
        ({"serving": Serving(args={"n_ctx": "1"})}, "serving.args"),
        ({"endpoint_auth": EndpointAuth.PUBLIC}, "endpoint_auth"),
        ({"scaling": Scaling(max_replicas=2)}, "scaling.max_replicas"),
        ({"scaling": Scaling(min_replicas=0, initial_replicas=0)}, "scaling.max_replicas"),
        ({"scaling": spec(maximum=1).scaling}, "scaling.targets"),
        ({"ssh_keys": ()}, "ssh_keys"),
        ({"ssh_keys": (KEY, KEY)}, "ssh_keys.1"),
        ({"ssh_keys": (KEY,) * 21}, "ssh_keys"),
        ({"external": ExternalServers(("http://h:1",))}, "external"),
    ],
)
def test_what_belongs_to_an_endpoint_is_refused_by_name(wrong, field):
    assert field in fields_at_fault(replace(MINE, **wrong))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "hello",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        KEY + "\nssh-ed25519 x",
        KEY.replace("ssh-ed25519 ", "ssh-rsa ", 1),
        f'command="rm -rf /" {KEY}',
        f"from=10.0.0.1 {KEY}",
        KEY.replace("AAAA", "AAA$", 1),
        KEY + " \x07",
        KEY + "x" * 9000,
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_only_an_openssh_public_key_opens_a_machine(key):
    assert fields_at_fault(replace(MINE, ssh_keys=(key,))) == ["ssh_keys.0"]


def test_an_inference_has_a_model_and_no_keys():
    assert fields_at_fault(spec(model="")) == ["model"]
    assert fields_at_fault(spec(ssh_keys=(KEY,))) == ["ssh_keys"]
    assert fields_at_fault(spec(runtime=MACHINE)) == ["runtime"]


def test_inference_goes_before_workspaces_and_these_before_trainings():
    by_priority = sorted(DEFAULTS, key=lambda kind: DEFAULTS[kind].priority, reverse=True)
    assert by_priority == [JobKind.INFERENCE, JobKind.WORKSPACE, JobKind.TRAINING]
    assert [kind for kind in by_priority if DEFAULTS[kind].preemptible] == [JobKind.TRAINING]


@pytest.mark.parametrize(
    ("places", "field"),
    [
        ({"location": "dallas", "locations": ("frankfurt",)}, "location"),
        ({"locations": ("dallas", "not a site")}, "locations.1"),
        ({"locations": ("dallas", "dallas")}, "locations"),
        ({"locations": tuple(f"s{number}" for number in range(17))}, "locations"),
    ],
)
def test_a_wrong_list_of_sites_is_refused_by_name(places, field):
    assert field in fields_at_fault(spec(**places))


def test_sites_are_the_list_or_the_one():
    assert spec(locations=("b", "a")).sites == ("b", "a")
    assert spec(location="a").sites == ("a",)
    assert spec().sites == ()


def test_no_request_is_routed_to_a_machine_without_an_endpoint():
    job = fold(
        created(kind=JobKind.WORKSPACE, model="", runtime=MACHINE, ssh_keys=(KEY,)), scheduled(), ready()
    )
    table = RouteTable([job])
    assert (table.get(job.job_id), table.endpoints(job.job_id)) == (None, ())
