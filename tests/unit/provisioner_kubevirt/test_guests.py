"""From a job to the command, the environment and the probes of its server."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_api.shipped import MODEL_MASTERS
from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import Guest, HttpCheck
from hostler_provisioner.kubevirt.guests.runtimes import MODELS_BY_RUNTIME, RUNTIMES, guest_of
from hostler_provisioner.kubevirt.guests.vllm import FORMS
from hostler_provisioner.kubevirt.guests.wanted import GuestSettings

SETTINGS = GuestSettings(ngc_api_key="nvapi-secret")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hostlerhostlerhostlerhostler me@home"
NIM = "nvcr.io/nim/nvidia/parakeet-1-1b-ctc-en-us:1.4.0"


@dataclass(frozen=True)
class Asked:
    """A job's wish with defaults."""

    model: str = "Qwen/Qwen3-32B"
    served_name: str = "Qwen/Qwen3-32B"
    aliases: tuple[str, ...] = ("demo", "team/demo", "01939e00-0000-7000-8000-000000000001")
    runtime: str = "vllm"
    args: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cpu_cores: float = 16
    gpu_count: int = 4
    api_key: str = "hsr_key-of-the-replica"
    hf_token: str | None = "hf_token-of-the-job"
    ssh_keys: tuple[str, ...] = ()


def made(settings: GuestSettings = SETTINGS, **fields: Any) -> Guest:
    return guest_of(Asked(**fields), settings)


def by_runtime() -> dict[str, Guest]:
    """One of each."""
    return {
        "vllm": made(),
        "parakeet": made(runtime="parakeet", model="nvidia/parakeet-tdt-0.6b-v3", gpu_count=1),
        "nim": made(runtime="nim", args=(("container", NIM),), gpu_count=1),
        "machine": made(runtime="machine", ssh_keys=(KEY,)),
    }


def test_every_runtime_has_a_guest_here():
    assert by_runtime().keys() == RUNTIMES.keys() == MODELS_BY_RUNTIME.keys()


@pytest.mark.parametrize("runtime", ["vllm", "parakeet", "nim"])
def test_no_key_and_no_token_is_in_a_command_a_file_or_what_is_shown(runtime):
    guest = by_runtime()[runtime]
    files = [each.content for each in guest.files if each.mode != 0o600]
    open_parts = repr((guest, guest.argv, guest.env, files))

    for secret in ("hsr_key-of-the-replica", "hf_token-of-the-job", "nvapi-secret"):
        assert secret not in open_parts
    assert guest.secret_env


@pytest.mark.parametrize(
    ("runtime", "check"),
    [
        ("vllm", HttpCheck("/health", 8000)),
        ("parakeet", HttpCheck("/health", 8000)),
        ("nim", HttpCheck("/v1/health/ready", 9000)),
        ("machine", None),
    ],
)
def test_each_says_where_it_serves_and_how_it_is(runtime, check):
    guest = by_runtime()[runtime]

    assert guest.health == check
    assert guest.port == (check.port if check else None)


def test_vllm_gets_its_model_all_gpus_and_time_to_end():
    guest = made(
        args=(("max-model-len", "16384"), ("enable_auto_tool_choice", "true"), ("enforce-eager", "no"))
    )

    assert guest.argv == (
        "vllm",
        "serve",
        "Qwen/Qwen3-32B",
        "--served-model-name",
        "Qwen/Qwen3-32B",
        "demo",
        "team/demo",
        "01939e00-0000-7000-8000-000000000001",
        "--host=0.0.0.0",
        "--port=8000",
        "--download-dir=/var/lib/hostler/models",
        "--shutdown-timeout=120",
        "--enable-prompt-tokens-details",
        "--enable-force-include-usage",
        "--disable-fastapi-docs",
        "--tensor-parallel-size=4",
        "--max-model-len=16384",
        "--enable-auto-tool-choice",
        "--no-enforce-eager",
    )
    assert guest.shutdown_timeout_seconds == 120
    assert dict(guest.secret_env) == {
        "VLLM_API_KEY": "hsr_key-of-the-replica",
        "HF_TOKEN": "hf_token-of-the-job",
    }


def test_the_gpus_can_be_shared_out_otherwise_as_long_as_all_are_used():
    half = made(args=(("pipeline_parallel_size", "2"),))
    own = made(args=(("tensor-parallel-size", "2"), ("data-parallel-size", "2")))

    assert "--tensor-parallel-size=2" in half.argv
    assert own.argv[-2:] == ("--tensor-parallel-size=2", "--data-parallel-size=2")
    with pytest.raises(PermanentError, match="use 2 GPUs together, and gpu_count is 4"):
        made(args=(("tensor-parallel-size", "2"),))
    with pytest.raises(PermanentError, match="use 3 GPUs together"):
        made(args=(("pipeline-parallel-size", "3"),))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("host", "0.0.0.0", "host is not known"),
        ("api-key", "mine", "api-key is not known"),
        ("middleware", "os.system", "middleware is not known"),
        ("allowed-local-media-path", "/", "allowed-local-media-path is not known"),
        ("tool_parser_plugin", "/x.py", "tool_parser_plugin is not known"),
        ("max-model-len", "1e9", "max-model-len must be a whole number"),
        ("max-model-len", "12; reboot", "max-model-len must be a whole number"),
        ("max-model-len", "0", "from 1 to"),
        ("gpu-memory-utilization", "1.5", "a number from 0.05 to 1"),
        ("dtype", "--host=1.2.3.4", "dtype must be a name"),
        ("dtype", "half full", "dtype must be a name"),
        ("enforce-eager", "perhaps", "true or false"),
        ("hf-overrides", "[1]", "an object in JSON"),
        ("hf-overrides", "{", "an object in JSON"),
        ("chat-template", "a\nb", "one line"),
    ],
)
def test_vllm_refuses_an_argument_by_name(name, value, words):
    with pytest.raises(PermanentError, match=words) as caught:
        made(args=((name, value),))
    assert str(caught.value).startswith(f"serving.args.{name} ")


def test_an_argument_that_is_given_in_both_spellings_is_refused():
    with pytest.raises(PermanentError, match="given twice"):
        made(args=(("max-model-len", "1"), ("max_model_len", "2")))


@given(
    name=st.sampled_from(sorted(FORMS)),
    value=st.text(max_size=40) | st.sampled_from(["--api-key=x", "-O3", "true", "7", '{"a": "--host"}']),
)
def test_no_value_becomes_another_flag(name, value):
    try:
        argv = made(args=((name, value),)).argv
    except PermanentError as refusal:
        assert name in str(refusal)  # noqa: PT017  # both outcomes are right, each in its own way
        return
    plain = made().argv
    added = [each for each in argv if each not in plain]

    allowed = (f"--{name}=", "--tensor-parallel-size=")
    assert all(
        each.startswith(allowed) or each in (f"--{name}", f"--no-{name}")
        for each in added
        if each.startswith("-")
    )
    assert all(each.startswith("-") for each in added) or name == "allowed-media-domains"


def test_domains_are_given_one_by_one():
    argv = made(args=(("allowed-media-domains", "a.example,b.example"),)).argv

    assert argv[-3:] == ("--allowed-media-domains", "a.example", "b.example")
    with pytest.raises(PermanentError, match="allowed-media-domains"):
        made(args=(("allowed-media-domains", "a.example,--api-key"),))


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PYTHONPATH", "VLLM_API_KEY", "HF_TOKEN", "VLLM_SERVER_DEV_MODE", "PATH", "ld_preload"],
)
@pytest.mark.parametrize("runtime", ["vllm", "parakeet", "nim"])
def test_a_job_may_not_set_what_chooses_code_or_keys(runtime, name):
    model = "nvidia/parakeet-tdt-0.6b-v3"
    args = (("container", NIM),) if runtime == "nim" else ()

    with pytest.raises(PermanentError, match=f"serving.env.{name} may not be set"):
        made(runtime=runtime, model=model, args=args, env=((name, "1"),))


def test_a_job_sets_its_other_variables_and_none_that_protects():
    guest = made(env=(("VLLM_ATTENTION_BACKEND", "FLASHINFER"), ("VLLM_NO_USAGE_STATS", "0")))

    assert dict(guest.env)["VLLM_ATTENTION_BACKEND"] == "FLASHINFER"
    assert dict(guest.env)["VLLM_NO_USAGE_STATS"] == "1"


def test_what_is_no_model_or_no_name_never_comes_near_a_command_line():
    with pytest.raises(PermanentError, match="model must be a Hugging Face id"):
        made(model="--config=/etc/passwd")
    with pytest.raises(PermanentError, match="served-model-name"):
        made(aliases=("--api-key=mine",))


def test_vllm_needs_a_gpu():
    with pytest.raises(PermanentError, match="gpu_count"):
        made(gpu_count=0)


@pytest.mark.parametrize(
    "master", [each for each in MODEL_MASTERS if each.runtime in RUNTIMES], ids=lambda master: master.model
)
def test_every_shipped_model_can_be_started_as_it_is_shipped(master):
    args = tuple(sorted(master.merged_args({}).items()))

    guest = made(model=master.model, runtime=master.runtime, args=args, gpu_count=master.gpu_count)

    assert guest.argv


def test_parakeet_is_our_own_server_on_the_gpu_with_its_own_weights():
    guest = by_runtime()["parakeet"]
    (file,) = guest.files
    launch = json.loads(file.content)

    assert guest.argv == ("/opt/hostler/speech/bin/python", "-m", "hostler_speech", file.path)
    assert (launch["engine"], launch["device"], launch["model"]) == (
        "onnx-asr",
        "cuda",
        "nemo-parakeet-tdt-0.6b-v3",
    )
    assert launch["threads"] * launch["workers"] <= 16
    assert dict(guest.secret_env)["HOSTLER_REPLICA_API_KEY"] == "hsr_key-of-the-replica"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "openai/whisper-large-v3"}, "model must be one of nvidia/parakeet"),
        ({"args": (("workers", "99"),)}, "workers must be a whole number"),
        ({"args": (("model_path", "/etc"),)}, "model_path is not known"),
    ],
)
def test_parakeet_refuses_by_name(fields, words):
    with pytest.raises(PermanentError, match=words):
        made(**{"runtime": "parakeet", "model": "nvidia/parakeet-tdt-0.6b-v3", **fields})


def test_nim_is_a_container_whose_variables_are_passed_by_name():
    guest = made(runtime="nim", args=(("container", NIM), ("tags_selector", "name=parakeet,mode=all")))

    assert guest.argv[:2] == ("podman", "run")
    assert guest.argv[-1] == NIM
    assert dict(guest.env)["NIM_TAGS_SELECTOR"] == "name=parakeet,mode=all"
    assert {f"--env={name}" for name, _ in guest.env} | {"--env=NGC_API_KEY"} <= set(guest.argv)
    assert guest.as_root
    (login,) = guest.files
    assert login.mode == 0o600
    assert (
        base64.b64decode(json.loads(login.content)["auths"]["nvcr.io"]["auth"]) == b"$oauthtoken:nvapi-secret"
    )
    assert dict(guest.secret_env)["REGISTRY_AUTH_FILE"] == login.path


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "serving.args.container must say"),
        ((("container", "--privileged"),), "serving.args.container has not the form"),
        ((("container", NIM), ("profile", "a b")), "serving.args.profile"),
        ((("container", NIM), ("volume", "/:/host")), "serving.args.volume is not known"),
    ],
)
def test_nim_refuses_by_name(args, words):
    with pytest.raises(PermanentError, match=words):
        made(runtime="nim", args=args)


def test_a_cluster_without_nvidias_key_runs_no_nim():
    with pytest.raises(PermanentError, match="no NGC key"):
        made(GuestSettings(), runtime="nim", args=(("container", NIM),))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "ssh_keys"),
        ({"ssh_keys": (KEY,), "args": (("x", "1"),)}, "serving.args.x"),
        ({"runtime": "llamacpp"}, "runtime must"),
    ],
)
def test_a_machine_without_a_way_in_or_with_a_server_is_refused(fields, words):
    with pytest.raises(PermanentError, match=words):
        made(**{"runtime": "machine", **fields})
