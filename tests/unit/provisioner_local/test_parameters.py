"""What a job may ask of the runtimes llamacpp and whisper, and what is refused by name."""

import dataclasses

import pytest

from hostler_domain.errors import PermanentError
from hostler_provisioner.local import runtimes
from hostler_provisioner.local.llamacpp_server import LaunchFile
from hostler_provisioner.local.parameters import (
    ServerParameters,
    checked_env,
    default_threads,
    parse_args,
)
from hostler_provisioner.local.whisper_parameters import parse_whisper_args


def test_no_arguments_give_the_defaults():
    assert parse_args((), default_threads=3) == ServerParameters(threads=3)


def test_arguments_replace_the_defaults():
    args = (
        ("n_ctx", "4096"),
        ("n_parallel", "2"),
        ("threads", "1"),
        ("embedding", "true"),
        ("pooling", "last"),
        ("warmup", "No"),
    )

    assert parse_args(args, default_threads=8) == ServerParameters(
        threads=1, n_ctx=4096, n_parallel=2, embedding=True, pooling="last", warmup=False
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("model_path", "/etc/passwd", id="unknown"),
        pytest.param("n_ctx", "63", id="too-low"),
        pytest.param("n_ctx", "262145", id="too-high"),
        pytest.param("n_ctx", "-2048", id="negative"),
        pytest.param("n_ctx", "2_048", id="not-plain-digits"),
        pytest.param("n_ctx", "٢٠٤٨", id="digits-of-another-script"),
        pytest.param("n_parallel", "", id="empty"),
        pytest.param("threads", "9" * 5000, id="endless"),
        pytest.param("embedding", "maybe", id="neither-true-nor-false"),
        pytest.param("pooling", "max", id="not-one-of-the-words"),
        pytest.param("n_ubatch", "4096", id="larger-than-its-batch"),
    ],
)
def test_a_bad_argument_is_refused_by_name(name, value):
    with pytest.raises(PermanentError, match=rf"\b{name}\b"):
        parse_args(((name, value),), default_threads=1)


def test_the_context_of_all_slots_together_is_bounded():
    with pytest.raises(PermanentError, match="n_ctx times n_parallel"):
        parse_args((("n_ctx", "262144"), ("n_parallel", "8")), default_threads=1)


@pytest.mark.parametrize(
    ("allotted", "usable", "physical", "expected"),
    [
        pytest.param(8.0, 1.0, 1, 1, id="one-core"),
        pytest.param(8.0, 2.0, 2, 1, id="two-cores"),
        pytest.param(8.0, 8.0, 4, 3, id="one-physical-core-is-left-free"),
        pytest.param(2.0, 8.0, 8, 2, id="no-more-than-allotted"),
        pytest.param(0.5, 8.0, 8, 1, id="half-a-core-is-one-thread"),
    ],
)
def test_threads_that_a_job_does_not_name(allotted, usable, physical, expected):
    assert default_threads(allotted_cores=allotted, usable_cores=usable, physical_cores=physical) == expected


def test_variables_of_the_job_are_passed_on():
    assert checked_env((("OMP_WAIT_POLICY", "passive"), ("_X1", ""))) == {
        "OMP_WAIT_POLICY": "passive",
        "_X1": "",
    }


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PATH",
        "HOSTLER_REPLICA_API_KEY",
        "GGML_BACKEND_PATH",
        "LLAMA_SERVER_ROUTER_PORT",
        "OPENSSL_CONF",
        "lower",
        "1ST",
        "A=B",
        "A\nB",
        "",
    ],
)
def test_a_variable_that_would_choose_code_or_is_malformed_is_refused(name):
    with pytest.raises(PermanentError, match="environment variable"):
        checked_env(((name, "x"),))


def test_a_null_character_in_a_variable_is_refused():
    with pytest.raises(PermanentError, match="FOO"):
        checked_env((("FOO", "a\0b"),))


def test_the_launch_file_has_a_place_for_every_parameter():
    parameters = {field.name: field.type for field in dataclasses.fields(ServerParameters)}

    assert {
        "model_path": str,
        "served_name": str,
        "host": str,
        "port": int,
    } | parameters == LaunchFile.__annotations__


def test_a_whisper_replica_that_is_told_nothing_has_one_worker_with_the_threads_of_its_place():
    parameters = parse_whisper_args((), default_threads=3)
    assert (parameters.threads, parameters.workers, parameters.engine) == (3, 1, "faster-whisper")


def test_a_whisper_replica_takes_what_its_table_has():
    given = (("beam_size", "1"), ("compute_type", "float32"), ("audio_seconds_max", "60"))
    parameters = parse_whisper_args(given, default_threads=1)
    assert (parameters.beam_size, parameters.compute_type, parameters.audio_seconds_max) == (1, "float32", 60)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beam_size", "0"),
        ("threads", "many"),
        ("compute_type", "int4"),
        ("host", "0.0.0.0"),
        ("engine", "other"),
        ("audio_seconds_max", "100000"),
    ],
)
def test_what_a_whisper_replica_cannot_be_told_is_refused_by_name(name, value):
    with pytest.raises(PermanentError, match=f"argument {name}"):
        parse_whisper_args(((name, value),), default_threads=1)


def test_a_runtime_that_is_not_installed_says_what_to_run(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(PermanentError, match=r"whisper needs is not installed.*`make setup-speech`"):
        runtimes.runtime_named("whisper")
    with pytest.raises(PermanentError, match=r"runtime vllm can't run on this machine"):
        runtimes.runtime_named("vllm")
