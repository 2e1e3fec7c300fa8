"""The catalogue that an installation starts with: hardware profiles and model masters.

Written to the catalogues where they hold nothing of that name yet, so an admin's change stays. The CPU profiles and the small
model are for the `local` backend; prices are examples until an admin sets real ones.
"""

from hostler_domain.catalogue import HardwareProfile, ModelMaster, Parameter
from hostler_domain.external import EXTERNAL

_GIB = 2**30

HARDWARE_PROFILES = (
    HardwareProfile("cpu.small", None, None, cpu_cores=1, memory_bytes=_GIB, price_per_hour=0.02),
    HardwareProfile("cpu.medium", None, None, cpu_cores=2, memory_bytes=4 * _GIB, price_per_hour=0.08),
    HardwareProfile("cpu.large", None, None, cpu_cores=4, memory_bytes=16 * _GIB, price_per_hour=0.2),
    HardwareProfile("gpu.l40s", "L40S", "nvidia.com/AD102GL_L40S", 8, 64 * _GIB, 1.2),
    HardwareProfile("gpu.a100", "A100-SXM4-80GB", "nvidia.com/GA100_A100_SXM4_80GB", 12, 120 * _GIB, 2.0),
    HardwareProfile("gpu.h100", "H100-SXM5-80GB", "nvidia.com/GH100_H100_SXM5_80GB", 16, 180 * _GIB, 3.5),
)


def _vllm(
    model: str,
    profile: str,
    gpus: int,
    context: int,
    *,
    disk_gb: int,
    **parameters: str,
) -> ModelMaster:
    """A language model for vLLM; the names are its flags. How it parses its own answers is no matter of taste, so it is fixed."""
    return ModelMaster(
        model=model,
        runtime="vllm",
        parameters={
            "max-model-len": Parameter(str(context)),
            "gpu-memory-utilization": Parameter("0.92"),
            **{name.replace("_", "-"): Parameter(value, tunable=False) for name, value in parameters.items()},
        },
        root_disk_gb=disk_gb,
        hardware_profile=profile,
        gpu_count=gpus,
        context_length_tokens=context,
    )


_TOOLS = {"enable_auto_tool_choice": "true"}
_MISTRAL = {"tokenizer_mode": "mistral", "config_format": "mistral", "load_format": "mistral"}

MODEL_MASTERS = (
    ModelMaster(
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        runtime="llamacpp",
        parameters={
            "n_ctx": Parameter("2048"),
            "n_parallel": Parameter("4"),
        },
        hardware_profile="cpu.small",
        context_length_tokens=2048,
    ),
    # The same weights under the name of their converted form and under that of the original.
    ModelMaster(model="Systran/faster-whisper-tiny.en", runtime="whisper", hardware_profile="cpu.small"),
    ModelMaster(model="openai/whisper-tiny.en", runtime="whisper", hardware_profile="cpu.small"),
    # Disks hold the weights (two bytes a parameter unless the model comes smaller) and the runtime beside them.
    _vllm(
        "Qwen/Qwen3-8B",
        "gpu.l40s",
        1,
        32768,
        disk_gb=60,
        **_TOOLS,
        tool_call_parser="hermes",
        reasoning_parser="qwen3",
    ),
    _vllm(
        "Qwen/Qwen3-32B",
        "gpu.a100",
        1,
        16384,
        disk_gb=120,
        **_TOOLS,
        tool_call_parser="hermes",
        reasoning_parser="qwen3",
    ),
    _vllm(
        "meta-llama/Llama-3.1-8B-Instruct",
        "gpu.l40s",
        1,
        32768,
        disk_gb=60,
        **_TOOLS,
        tool_call_parser="llama3_json",
    ),
    _vllm(
        "meta-llama/Llama-3.3-70B-Instruct",
        "gpu.h100",
        4,
        65536,
        disk_gb=220,
        **_TOOLS,
        tool_call_parser="llama3_json",
    ),
    _vllm(
        "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
        "gpu.a100",
        1,
        32768,
        disk_gb=100,
        **_TOOLS,
        **_MISTRAL,
        tool_call_parser="mistral",
    ),
    _vllm("openai/gpt-oss-20b", "gpu.h100", 1, 65536, disk_gb=60, **_TOOLS, tool_call_parser="openai"),
    _vllm("openai/gpt-oss-120b", "gpu.h100", 2, 65536, disk_gb=120, **_TOOLS, tool_call_parser="openai"),
    ModelMaster(
        model="nvidia/parakeet-tdt-0.6b-v3",
        runtime="parakeet",
        root_disk_gb=40,
        hardware_profile="gpu.l40s",
        gpu_count=1,
    ),
)

RUNTIMES = ("llamacpp", "vllm", "parakeet", "simulated", "whisper", EXTERNAL)
