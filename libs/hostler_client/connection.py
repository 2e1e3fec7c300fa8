"""Where the API is and with which key: a value that never shows the key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hostler_client.errors import ClientError

API_URL_VARIABLE = "HOSTLER_API_URL"
API_KEY_VARIABLE = "HOSTLER_API_KEY"
ROUTER_URL_VARIABLE = "HOSTLER_ROUTER_URL"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class NotConfigured(ClientError):
    """It was not said where the API is, or with which key to call it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One installation as one caller sees it.

    Attributes:
        api_url: Base address of the native API, without `/v1`.
        api_key: `hsk_...`; None sends none.
        router_url: Base address of the OpenAI-compatible endpoint, without `/v1`; None where it is not needed.
    """

    api_url: str
    api_key: str | None = field(default=None, repr=False)
    router_url: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def from_environment(environ: Mapping[str, str] | None = None) -> Connection:
    """The connection that HOSTLER_API_URL, HOSTLER_API_KEY and HOSTLER_ROUTER_URL describe.

    Raises:
        NotConfigured: HOSTLER_API_URL is not set.
    """
    variables = os.environ if environ is None else environ
    api_url = variables.get(API_URL_VARIABLE, "")
    if not api_url:
        raise NotConfigured(
            f"{API_URL_VARIABLE} is not set: it holds the address of the API, such as http://127.0.0.1:8080"
        )
    return Connection(
        api_url=base_url(api_url, API_URL_VARIABLE),
        api_key=variables.get(API_KEY_VARIABLE, "").strip() or None,
        router_url=base_url(router_url, ROUTER_URL_VARIABLE)
        if (router_url := variables.get(ROUTER_URL_VARIABLE))
        else None,
    )


def base_url(url: str, named: str) -> str:
    """`url` without a closing slash and without `/v1`, which clients add themselves.

    Raises:
        NotConfigured: it is no http or https address; `named` says where it came from.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotConfigured(f"{named} must be an address such as http://127.0.0.1:8080, got {url!r}")
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine, where no proxy of the environment may come between."""
    return urlsplit(url).hostname in _LOOPBACK


def is_plain(url: str) -> bool:
    """Whether the address is plain http."""
    return urlsplit(url).scheme == "http"
