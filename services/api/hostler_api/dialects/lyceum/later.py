"""Routes of Lyceum's API that Hostler does not offer: each says so, and what to do instead.

They ask for a key like all others, so that what is not there reads the same for everybody who may look.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request

from hostler_api.dialects.lyceum.org import OrgReader, OrgWriter
from hostler_api.dialects.lyceum.refusals import refusals
from hostler_api.problem_catalogue import NotOffered

_BATCHES: Final = (
    "Hostler does not process batches yet; send the requests one by one to /v1/chat/completions of the router"
)
_ASYNC: Final = "Hostler does not answer asynchronously yet; send the request without X-Async"
_KEYS: Final = "API keys are not managed through this dialect; an admin makes and revokes them natively"
_SHARED: Final = "Hostler serves no shared models; deploy one and send X-Deployment-ID to the router"

NOT_OFFERED: Final = (
    ("POST", "/files", _BATCHES),
    ("GET", "/files/{file_id}", _BATCHES),
    ("GET", "/files/{file_id}/content", _BATCHES),
    ("POST", "/batches", _BATCHES),
    ("GET", "/batches", _BATCHES),
    ("GET", "/batches/{batch_id}", _BATCHES),
    ("POST", "/batches/{batch_id}/cancel", _BATCHES),
    ("GET", "/inference/streaming/stream/{inference_id}", _ASYNC),
    ("GET", "/auth/api-keys/", _KEYS),
    ("POST", "/auth/api-keys/", _KEYS),
    ("DELETE", "/auth/api-keys/{key_id}", _KEYS),
    ("PATCH", "/auth/api-keys/{key_id}/toggle", _KEYS),
    ("POST", "/serverless/chat/completions", _SHARED),
    ("POST", "/serverless/embeddings", _SHARED),
)
"""Method, path, and what to do instead."""
_AS_NAME: Final = str.maketrans({"/": "_", "-": "_", "{": None, "}": None})
_IN_PATH: Final = re.compile(r"\{(\w+)\}")

router = APIRouter(tags=["lyceum: not offered"])


def _refuse_reader(instead: str) -> Callable[[Request, OrgReader], Awaitable[None]]:
    async def refuse(request: Request, caller: OrgReader) -> None:
        del request, caller
        raise NotOffered(instead)

    return refuse


def _refuse_writer(instead: str) -> Callable[[Request, OrgWriter], Awaitable[None]]:
    async def refuse(request: Request, caller: OrgWriter) -> None:
        del request, caller
        raise NotOffered(instead)

    return refuse


for _method, _path, _instead in NOT_OFFERED:
    router.add_api_route(
        _path,
        _refuse_reader(_instead) if _method == "GET" else _refuse_writer(_instead),
        methods=[_method],
        status_code=501,
        summary="Not offered",
        description=_instead,
        name=f"not_offered_{_method}{_path}".lower().translate(_AS_NAME).rstrip("_"),
        responses=refusals(501),
        response_model=None,
        # The handlers do not take what is in the path, so the document has to be told of it.
        openapi_extra={
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in _IN_PATH.findall(_path)
            ]
        },
    )
