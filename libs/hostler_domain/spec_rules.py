"""What makes a spec valid, whatever the cluster has. `commands.decide` refuses by it and the api names fields by it."""

import re
from collections.abc import Iterator, Mapping

from hostler_domain.catalogue import ModelMaster
from hostler_domain.errors import FieldError
from hostler_domain.external import ENDPOINTS_MAX, EXTERNAL, endpoint_error
from hostler_domain.job import JobSpec
from hostler_domain.routing import routing_errors
from hostler_domain.scaling import scaling_errors

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
ARG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,126}[A-Za-z0-9])?", re.ASCII)
IMAGE_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,499}", re.ASCII)
_VALUE_LENGTH_MAX = 4096
PRIORITY_MAX = 150
ROOT_DISK_GB_MAX = 65_536


def spec_errors(spec: JobSpec, master: ModelMaster | None) -> Iterator[FieldError]:
    """Everything that does not make sense in `spec`, whatever the cluster has."""
    if not _NAME.fullmatch(spec.name):
        yield FieldError("name", "must be 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'")
    if not PROJECT_NAME.fullmatch(spec.project):
        yield FieldError("project", "must be 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
    if not MODEL_ID.fullmatch(spec.model):
        yield FieldError("model", "must be a Hugging Face id such as 'Qwen/Qwen3-32B'")
    if spec.root_disk_gb is not None and not 1 <= spec.root_disk_gb <= ROOT_DISK_GB_MAX:
        yield FieldError("root_disk_gb", f"must be from 1 to {ROOT_DISK_GB_MAX}, got {spec.root_disk_gb}")
    if spec.gpu_count < 0:
        yield FieldError("gpu_count", f"must be 0 or more, got {spec.gpu_count}")
    if not 0 <= spec.priority <= PRIORITY_MAX:
        yield FieldError("priority", f"must be from 0 to {PRIORITY_MAX}, got {spec.priority}")
    if spec.timeouts.initialization_seconds < 1:
        yield FieldError("timeouts.initialization_seconds", "must be at least 1 second")
    if spec.timeouts.request_seconds < 1:
        yield FieldError("timeouts.request_seconds", "must be at least 1 second")
    if spec.location is not None and not _NAME.fullmatch(spec.location.lower()):
        yield FieldError("location", "must be the name of a site: letters, digits and '-'")
    if spec.runtime_image is not None and not IMAGE_REFERENCE.fullmatch(spec.runtime_image):
        yield FieldError("runtime_image", "must be an image reference such as 'vllm/vllm-openai:v0.12.0'")
    yield from scaling_errors(spec.scaling)
    yield from routing_errors(spec.routing)
    yield from mapping_errors("labels", spec.labels, _LABEL_NAME)
    yield from mapping_errors("serving.args", spec.serving.args, ARG_NAME)
    yield from mapping_errors("serving.env", spec.serving.env, ENV_NAME)
    yield from _external_errors(spec)
    # What a master fixes is an argument of its own runtime; another one may not even know it.
    if master is not None and master.runtime == spec.runtime:
        yield from master.override_errors(spec.serving.args)


def _external_errors(spec: JobSpec) -> Iterator[FieldError]:
    servers = spec.external
    if servers is None:
        if spec.runtime == EXTERNAL:
            yield FieldError("external.endpoints", "is needed for the runtime external")
        return
    if spec.runtime != EXTERNAL:
        yield FieldError("external", f"goes with the runtime external only, not with {spec.runtime!r}")
    count = len(servers.endpoints)
    if not 1 <= count <= ENDPOINTS_MAX:
        yield FieldError("external.endpoints", f"must be from 1 to {ENDPOINTS_MAX}, got {count}")
    elif spec.scaling.max_replicas > count:
        yield FieldError(
            "scaling.max_replicas", f"must be at most {count}, one for each of external.endpoints"
        )
    if len(set(servers.endpoints)) < count:
        yield FieldError("external.endpoints", "must not name a server twice")
    for index, url in enumerate(servers.endpoints):
        error = endpoint_error(url)
        if error is not None:
            yield FieldError(f"external.endpoints.{index}", error)


def mapping_errors(field: str, values: Mapping[str, str], name_form: re.Pattern[str]) -> Iterator[FieldError]:
    """What is wrong with names or values that become part of a command line or an environment."""
    for name, value in values.items():
        if not name_form.fullmatch(name):
            yield FieldError(f"{field}.{name[:80]!r}", "is not a name that can be used here")
        if len(value) > _VALUE_LENGTH_MAX or "\0" in value or "\n" in value or "\r" in value:
            yield FieldError(
                f"{field}.{name[:80]}", f"must be one line of at most {_VALUE_LENGTH_MAX} characters"
            )
