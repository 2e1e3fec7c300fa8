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
)

RUNTIMES = ("llamacpp", "vllm", "parakeet", "simulated", "whisper", EXTERNAL)
