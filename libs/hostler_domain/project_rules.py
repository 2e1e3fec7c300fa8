"""What makes a project valid. The api names fields by it."""

from collections.abc import Iterator

from hostler_domain.catalogue import Project
from hostler_domain.errors import FieldError
from hostler_domain.limits import limit_errors
from hostler_domain.spec_rules import PROJECT_NAME

DESCRIPTION_LENGTH_MAX = 1000
GPUS_MAX = 1_000_000


def project_errors(project: Project) -> Iterator[FieldError]:
    """Everything that does not make sense in `project`."""
    if not PROJECT_NAME.fullmatch(project.name):
        yield FieldError("name", "must be 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
    if len(project.description) > DESCRIPTION_LENGTH_MAX:
        yield FieldError("description", f"must have at most {DESCRIPTION_LENGTH_MAX} characters")
    for field, value in (("gpu_quota", project.gpu_quota), ("gpu_limit", project.gpu_limit)):
        if value is not None and not 0 <= value <= GPUS_MAX:
            yield FieldError(field, f"must be from 0 to {GPUS_MAX}, or null for no bound; got {value}")
    quota, limit = project.gpu_quota, project.gpu_limit
    if quota is not None and limit is not None and quota > limit:
        yield FieldError("gpu_quota", f"must be at most gpu_limit, which is {limit}; got {quota}")
    yield from limit_errors(project.limits)
