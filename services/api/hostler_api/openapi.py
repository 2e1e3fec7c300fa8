"""The description of the API: what FastAPI reads off the routes, and what holds for all of them, said here once.

`create_app` calls it. FastAPI knows neither who may call a route nor what an error looks like at each surface; `completed` adds both,
together with the headers of answers and the links from what was made to what can be asked about it. Pure: a document in, one out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from pydantic import BaseModel

from hostler_api.route_access import RouteAccess

Json = dict[str, Any]
"""A part of an OpenAPI document; its forms are FastAPI's, and no more is known of them."""

TAGS: Final = (
    ("jobs", "Models that are served: jobs, their replicas, events and logs."),
    ("metrics", "What a job did over time."),
    ("api-keys", "Keys, their secrets and what they used."),
    ("projects", "What jobs and keys belong to."),
    ("model masters", "What is known about models."),
    ("hardware profiles", "Kinds of machine."),
    ("audit", "Who did what."),
    ("dead letters", "Messages that a consumer gave up."),
    ("problems", "What errors mean."),
    ("lyceum: deployments", "Lyceum's dialect: deployments are jobs."),
    ("lyceum: account", "Lyceum's dialect: machines, prices, orgs."),
    ("lyceum: not offered", "Lyceum's dialect: what Hostler does not have; each says what to do instead."),
    ("Run:ai: inferences", "Run:ai's dialect: inference workloads are jobs."),
    ("Run:ai: pods", "Run:ai's dialect: pods are replicas."),
    ("Run:ai: workloads", "Run:ai's dialect: what is asked of any workload."),
    ("Run:ai: catalogues", "Run:ai's dialect: logins, clusters, projects, priorities."),
)
_SCHEMES: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `hsk_...`, or a token of `POST /api/v1/token`. The names beside it are the scopes that it needs.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same API key."},
}
_HEADERS: Final[Json] = {
    "X-Request-Id": {
        "description": "Id of the request; it is in the logs and the events that came of it.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
        "required": True,
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string", "const": "Bearer"},
        "required": True,
    },
    "ETag": {
        "description": "The revision, for If-Match.",
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
        "required": True,
    },
    "Location": {
        "description": "Where it is to be found.",
        "schema": {"type": "string", "format": "uri-reference"},
        "required": True,
    },
}
_MEANINGS: Final = {
    400: "A field is wrong; each is named",
    401: "The API key is missing or not valid",
    403: "The API key may not do this",
    404: "There is no such thing for this caller",
    413: "The request is too large",
    422: "A field is wrong; each is named",
    503: "It can't be done right now; see Retry-After",
}
_ON_EVERY: Final = ("X-Request-Id",)
_ON_STATUS: Final = {"401": ("WWW-Authenticate",), "503": ("Retry-After",)}
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's form of a wrong field, which no surface here has."""
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """How one surface writes its errors down.

    Attributes:
        prefix: Of its paths.
        media_type: Of the answers.
        model: Of their bodies.
        invalid_status: Of a request whose fields make no sense.
        invalid_model: Of that answer's body.
    """

    prefix: str
    media_type: str
    model: type[BaseModel]
    invalid_status: int
    invalid_model: type[BaseModel]

    def content(self, status: int) -> Json:
        """What an answer with this status holds."""
        model = self.invalid_model if status == self.invalid_status else self.model
        return {self.media_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


@dataclass(frozen=True, slots=True)
class MadeThing:
    """An answer that names a new thing, and the routes that can be asked about it.

    Attributes:
        maker: Operation that makes it.
        status: Of its answer.
        pointer: To its id in that answer.
        parameter: Under which the other routes take the id.
        paths: Those routes, and everything below them.
    """

    maker: str
    status: str
    pointer: str
    parameter: str
    paths: tuple[str, ...]


_MADE: Final = (
    MadeThing("create_job", "202", "/job_id", "job", ("/v1/jobs/{job}",)),
    MadeThing("create_key", "201", "/key_id", "key_id", ("/v1/api-keys/{key_id}",)),
    MadeThing("create_project", "201", "/name", "name", ("/v1/projects/{name}",)),
    MadeThing("create_master", "201", "/model", "model", ("/v1/model-masters/{model}",)),
    MadeThing("create_profile", "201", "/name", "name", ("/v1/hardware-profiles/{name}",)),
    MadeThing(
        "runai_create_inference",
        "202",
        "/workloadId",
        "workload_id",
        ("/api/v1/workloads/{workload_id}", "/api/v1/workloads/inferences/{workload_id}"),
    ),
    MadeThing(
        "lyceum_create_deployment",
        "200",
        "/deployment_id",
        "deployment_id",
        ("/api/v2/external/inference/get",),
    ),
)
_DIALECTS: Final = (("/api/v1/", "runai"), ("/api/v2/external/", "lyceum"))


def operation_id(route: APIRoute) -> str:
    """The name of an operation for generated clients: the handler's, with the dialect before it."""
    dialect = next((name for prefix, name in _DIALECTS if route.path_format.startswith(prefix)), None)
    return f"{dialect}_{route.name}" if dialect else route.name


def headers(*names: str) -> Json:
    """What the description of an answer says about its headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def completed(document: Json, rows: Iterable[RouteAccess], forms: Sequence[ErrorForm]) -> Json:
    """The document with everything that holds for all routes.

    Args:
        document: As FastAPI makes it.
        rows: Who may call what.
        forms: Of errors; the first whose prefix fits is a path's.
    """
    scopes = {(row.method.lower(), row.path.replace(":path}", "}")): row.scope for row in rows}
    paths = {
        path: {
            method: _operation(operation, path, scopes[method, path], _form(path, forms))
            if method in _METHODS
            else operation
            for method, operation in item.items()
        }
        for path, item in document["paths"].items()
    }
    for made in _MADE:
        _link(paths, made)
    components = document.get("components", {})
    schemas = {
        name: each for name, each in components.get("schemas", {}).items() if name not in _FASTAPIS_OWN
    }
    for form in forms:
        for model in (form.model, form.invalid_model):
            schemas = {**_schemas(model), **schemas}
    return {
        **document,
        "tags": [{"name": name, "description": text} for name, text in TAGS],
        "paths": paths,
        "components": {
            **components,
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": _SCHEMES,
            "headers": _HEADERS,
        },
    }


def _form(path: str, forms: Sequence[ErrorForm]) -> ErrorForm:
    return next(form for form in forms if path.startswith(form.prefix))


def _operation(operation: Mapping[str, Any], path: str, scope: str | None, form: ErrorForm) -> Json:
    answers: Json = {
        status: answer for status, answer in operation["responses"].items() if not _is_fastapis_own(answer)
    }
    for code in _expected(operation, path, scope, form):
        answers.setdefault(str(code), {"description": _MEANINGS[code], "content": form.content(code)})
    for status, answer in answers.items():
        known = answer.get("headers", {})
        answers[status] = {
            **answer,
            "headers": {**known, **headers(*_ON_EVERY, *_ON_STATUS.get(status, ()))},
        }
    security = [{name: [scope]} for name in _SCHEMES] if scope else []
    return {**operation, "responses": dict(sorted(answers.items())), "security": security}


def _expected(operation: Mapping[str, Any], path: str, scope: str | None, form: ErrorForm) -> tuple[int, ...]:
    """Errors that a route may answer for what it is, whatever it does."""
    found: list[int] = []
    if scope:
        found += [401, 403, 503]
    if "{" in path:
        found.append(404)
    if "requestBody" in operation:
        found.append(413)
    if "requestBody" in operation or operation.get("parameters"):
        found.append(form.invalid_status)
    return tuple(found)


def _is_fastapis_own(answer: Mapping[str, Any]) -> bool:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2] in _FASTAPIS_OWN


def _link(paths: Json, made: MadeThing) -> None:
    """Say at the answer that made something what can be asked about it."""
    operations = [
        (path, operation)
        for path, item in paths.items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    maker = next((each for _, each in operations if each["operationId"] == made.maker), None)
    if maker is None:
        return  # it belongs to admins, who have a listener of their own
    maker["responses"][made.status]["links"] = {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {made.parameter: f"$response.body#{made.pointer}"},
        }
        for path, operation in operations
        if any(path == start or path.startswith(f"{start}/") for start in made.paths)
    }


def _schemas(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    inner: Json = schema.pop("$defs", {})
    return {**inner, model.__name__: schema}
