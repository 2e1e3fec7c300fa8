"""The root of every body that users send."""

from pydantic import BaseModel, ConfigDict


class RequestBody(BaseModel):
    """A field that is not known is refused by name, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
