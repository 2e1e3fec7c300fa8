"""What makes a spec valid, whatever the cluster has. `commands.decide` refuses by it and the api names fields by it."""

import re
from collections.abc import Iterator, Mapping

from hostler_domain.catalogue import ModelMaster
from hostler_domain.errors import FieldError
from hostler_domain.external import ENDPOINTS_MAX, EXTERNAL, endpoint_error
from hostler_domain.job import EndpointAuth, JobSpec
from hostler_domain.kinds import MACHINE, JobKind, ssh_key_errors
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
LOCATIONS_MAX = 16


def spec_errors(spec: JobSpec, master: ModelMaster | None) -> Iterator[FieldError]:
    """Everything that does not make sense in `spec`, whatever the cluster has."""
    if not _NAME.fullmatch(spec.name):
        yield FieldError("name", "must be 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'")
    if not PROJECT_NAME.fullmatch(spec.project):
        yield FieldError("project", "must be 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
    yield from _kind_errors(spec)
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
    yield from _location_errors(spec)
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


def _kind_errors(spec: JobSpec) -> Iterator[FieldError]:
    if spec.kind is JobKind.INFERENCE:
        if not MODEL_ID.fullmatch(spec.model):
            yield FieldError("model", "must be a Hugging Face id such as 'Qwen/Qwen3-32B'")
        if spec.runtime == MACHINE:
            yield FieldError("runtime", f"{MACHINE} is for a workspace or training, which has no endpoint")
        if spec.ssh_keys:
            yield FieldError("ssh_keys", "are for a workspace or training, not for an inference")
        return
    has_none = f"must be left out: a {spec.kind} has"
    if spec.model:
        yield FieldError("model", f"{has_none} no model")
    if spec.runtime != MACHINE:
        yield FieldError("runtime", f"must be {MACHINE} for a {spec.kind}, got {spec.runtime!r}")
    if spec.serving.args:
        yield FieldError("serving.args", f"{has_none} no inference server")
    if spec.endpoint_auth is not EndpointAuth.KEY:
        yield FieldError("endpoint_auth", f"{has_none} no endpoint")
    if spec.scaling.targets:
        yield FieldError("scaling.targets", f"{has_none} no requests to scale by")
    if spec.scaling.shadow is not None:
        yield FieldError("scaling.shadow", f"{has_none} no requests to scale by")
    if (spec.scaling.min_replicas, spec.scaling.max_replicas) != (1, 1):
        yield FieldError("scaling.max_replicas", f"must be 1, as min_replicas: a {spec.kind} is one machine")
    yield from ssh_key_errors(spec.ssh_keys)


def _location_errors(spec: JobSpec) -> Iterator[FieldError]:
    if spec.location is not None and spec.locations:
        yield FieldError("location", "can't be given together with locations")
    if len(spec.locations) > LOCATIONS_MAX:
        yield FieldError("locations", f"must be at most {LOCATIONS_MAX}, got {len(spec.locations)}")
    given = [] if spec.location is None else [("location", spec.location)]
    given += [(f"locations.{number}", name) for number, name in enumerate(spec.locations)]
    for field, name in given:
        if not _NAME.fullmatch(name.lower()):
            yield FieldError(field, "must be the name of a site: letters, digits and '-'")
    if len(set(spec.locations)) < len(spec.locations):
        yield FieldError("locations", "must not name a site twice")


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
