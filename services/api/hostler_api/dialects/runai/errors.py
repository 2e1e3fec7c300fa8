"""Errors as Run:ai's clients read them: `{code, message, details}`, and `complianceIssues` that name fields of the spec.

Mistakes that the native rules find come under native names; here they get the names under which the client sent them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from fastapi import Request
from fastapi.responses import JSONResponse

from hostler_api.dialects.runai.documents import ComplianceIssue, ErrorAnswer
from hostler_api.problem_catalogue import Occurrence
from hostler_domain.errors import FieldError

_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "endpoint_auth": "servingPort.authorizationType",
        "gpu_count": "compute.gpuDevicesRequest",
        "hardware_profile": "nodePools",
        "model": "args",
        "priority": "priorityClass",
        "project": "projectId",
        "runtime": "labels",
        "runtime_image": "image",
        "scaling.activation_replicas": "autoscaling.activationReplicas",
        "scaling.initial_replicas": "autoscaling.initialReplicas",
        "scaling.max_replicas": "autoscaling.maxReplicas",
        "scaling.min_replicas": "autoscaling.minReplicas",
        "scaling.scale_to_zero_after_seconds": "autoscaling.scaleToZeroRetentionSeconds",
        "scaling.stabilisation_window_seconds": "autoscaling.scaleDownDelaySeconds",
        "scaling.targets": "autoscaling.metric",
        "scaling.targets.0.metric": "autoscaling.metric",
        "scaling.targets.0.percentage": "autoscaling.metricThresholdPercentage",
        "scaling.targets.0.threshold": "autoscaling.metricThreshold",
        "timeouts.initialization_seconds": "servingConfiguration.initializationTimeoutSeconds",
        "timeouts.request_seconds": "servingConfiguration.requestTimeoutSeconds",
    }
)
_PREFIXES = (("serving.args", "args"), ("serving.env", "environmentVariables"), ("labels", "labels"))
"""Mappings there, lists here: the name of the item goes into the words."""
_WORDS = re.compile(r"\b(min_replicas|max_replicas)\b")
_SPELLINGS = {"min_replicas": "minReplicas", "max_replicas": "maxReplicas"}


def error_answer(request: Request, occurrence: Occurrence) -> JSONResponse:
    """One occurrence as this dialect says it; how is the same for every route of it."""
    del request
    issues = tuple(compliance_issue(each) for each in occurrence.errors)
    details = "; ".join(f"{each.field}: {each.details}" for each in issues) or occurrence.detail
    answer = ErrorAnswer(
        code=occurrence.problem.status,
        message=occurrence.problem.title,
        details=details or None,
        compliance_issues=issues or None,
    )
    return JSONResponse(
        answer.model_dump(mode="json", by_alias=True), occurrence.problem.status, occurrence.headers
    )


def compliance_issue(error: FieldError) -> ComplianceIssue:
    """A mistake under the name that the client knows."""
    field = error.field.removeprefix("spec.")
    details = _WORDS.sub(lambda found: _SPELLINGS[found.group()], error.message)
    if field in _FIELDS:
        return ComplianceIssue(field=_FIELDS[field], details=details)
    for prefix, name in _PREFIXES:
        item = field.removeprefix(prefix + ".")
        if item != field and not item[:1].isdecimal():
            return ComplianceIssue(field=name, details=f"{item} {details}")
    return ComplianceIssue(field=field, details=details)
