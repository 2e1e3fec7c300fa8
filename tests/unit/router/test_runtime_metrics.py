import pytest

from hostler_contracts.load import RuntimeLoad
from hostler_provisioner.local.simulated_server import Figures
from hostler_router.runtime_metrics import read_runtime

VLLM_OLD = """\
# HELP vllm:num_requests_running Number of requests currently running on GPU.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="m"} 2.0
# TYPE vllm:gpu_cache_usage_perc gauge
vllm:gpu_cache_usage_perc{model_name="m"} 0.25
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.001",model_name="m"} 0.0
"""
VLLM_BOTH = VLLM_OLD + 'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5\n'
VLLM_NEW = """\
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.2
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.4
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(VLLM_OLD, RuntimeLoad(running=3, waiting=2, kv_utilisation=0.25), id="vLLM to 0.9.1"),
        pytest.param(VLLM_BOTH, RuntimeLoad(running=3, waiting=2, kv_utilisation=0.5), id="vLLM with both"),
        pytest.param(
            "sglang:num_running_reqs 5.0\nsglang:num_queue_reqs 1.0\nsglang:token_usage 0.28\n",
            RuntimeLoad(running=5, waiting=1, kv_utilisation=0.28),
            id="SGLang",
        ),
        pytest.param(
            "tgi_batch_current_size 2\ntgi_queue_size 7\n", RuntimeLoad(running=2, waiting=7), id="TGI"
        ),
        pytest.param(
            "llamacpp:requests_processing 1\nllamacpp:requests_deferred 4\n",
            RuntimeLoad(running=1, waiting=4),
            id="llama.cpp",
        ),
        pytest.param(
            'num_requests_running{model_name="m"} 2.0\nnum_requests_waiting{model_name="m"} 5.0\n'
            'gpu_cache_usage_perc{model_name="m"} 0.4\nnum_request_max{model_name="m"} 256.0\n',
            RuntimeLoad(running=2, waiting=5, kv_utilisation=0.4),
            id="NIM",
        ),
        pytest.param(
            "hostler_speech_requests_running 1.0\nhostler_speech_requests_waiting 0.0\n",
            RuntimeLoad(running=1, waiting=0),
            id="transcription",
        ),
        pytest.param("vllm:num_requests_waiting 0.0\n", RuntimeLoad(waiting=0), id="one gauge alone"),
        pytest.param("", None, id="nothing"),
        pytest.param("process_cpu_seconds_total 3.0\n", None, id="another program"),
        pytest.param("<html>not found</html>", None, id="no figures at all"),
        pytest.param("vllm:num_requests_running{model 3\n", None, id="broken off"),
        pytest.param("vllm:num_requests_running many\n", None, id="no number"),
        pytest.param("vllm:num_requests_running NaN\nvllm:kv_cache_usage_perc -1\n", None, id="not a share"),
    ],
)
def test_what_a_runtime_says_of_itself(text: str, expected: RuntimeLoad | None) -> None:
    assert read_runtime(text) == expected


def test_engines_within_one_server_are_added_up_and_their_memory_is_averaged() -> None:
    load = read_runtime(VLLM_NEW)
    assert load is not None
    assert (load.running, load.waiting) == (7, 1)
    assert load.kv_utilisation == pytest.approx(0.3)


def test_the_simulated_runtime_is_read_as_what_it_imitates() -> None:
    figures = Figures("m")
    figures.running.set(2)
    assert read_runtime(figures.text().decode()) == RuntimeLoad(running=2, waiting=0)
