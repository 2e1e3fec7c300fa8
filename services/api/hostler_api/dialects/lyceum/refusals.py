"""What the OpenAPI document says about errors of this dialect's routes."""

from typing import Final

from pydantic import BaseModel

from hostler_api.openapi import ErrorForm


class Refusal(BaseModel):
    """Why not."""

    detail: str


class FieldRefusal(BaseModel):
    """What is wrong with one field."""

    type: str
    loc: list[str]
    msg: str


class InvalidRequest(BaseModel):
    """Fields that make no sense, or, for a key that came before with another body, a sentence."""

    detail: list[FieldRefusal] | str


FORM: Final = ErrorForm("/api/v2/external/", "application/json", Refusal, 422, InvalidRequest)
"""How its errors are written down."""
_MEANINGS = {
    401: "The API key is missing or not valid",
    403: "The API key may not do this",
    404: "There is no such thing in this org",
    409: "The present state does not allow it",
    501: "Hostler does not offer this",
    503: "It can't be done right now; see Retry-After",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Documentation of errors; 422, 401 and 403 are everywhere."""
    every: dict[int | str, dict[str, object]] = {
        status: {"description": _MEANINGS[status], "model": Refusal} for status in (401, 403, 404, *statuses)
    }
    every[422] = {"description": "A field is wrong; each is named", "model": InvalidRequest}
    return every
