"""Limits on inference as users write them, for keys and for projects alike."""

from typing import Annotated

from pydantic import Field

from hostler_api.numbers import Whole
from hostler_api.request_body import RequestBody
from hostler_domain.limits import LIMIT_MAX, Limits

_Bound = Annotated[Whole, Field(ge=1, le=LIMIT_MAX)]


class LimitsRequest(RequestBody):
    """How much inference may be used. What is left out or null is not bounded; in a patch what is left out stays as it is."""

    requests_per_minute: _Bound | None = Field(default=None, examples=[600])
    tokens_per_minute: _Bound | None = Field(
        default=None, description="Of prompts and of answers.", examples=[100_000]
    )
    concurrency: _Bound | None = Field(default=None, description="Requests under way at once.", examples=[8])

    def limits(self) -> Limits | None:
        """As a new record has them; None where nothing is bounded."""
        return Limits(self.requests_per_minute, self.tokens_per_minute, self.concurrency) or None

    def changes(self) -> dict[str, int | None]:
        """Those that a patch names."""
        return self.model_dump(exclude_unset=True)
