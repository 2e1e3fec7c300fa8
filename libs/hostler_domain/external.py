"""Servers that run already and that a job only adopts: the runtime `external`.

One replica of such a job stands for one of its servers. It is placed in a cluster of its own, where a node is one server of one
job, named after its position in the job's list; it takes no machine that Hostler has.
"""

import ipaddress
import re
from dataclasses import dataclass

EXTERNAL = "external"
"""Name of the runtime, of the cluster, and what stands for a hardware profile."""
ENDPOINTS_MAX = 64

_URL = re.compile(
    r"https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252})(:(?P<port>[0-9]{1,5}))?(/[A-Za-z0-9._~/-]*)?"
)
_NUMERIC_END = re.compile(r"(^|\.)(\d+|0[xX][0-9A-Fa-f]*)\.?$")


@dataclass(frozen=True, slots=True)
class ExternalServers:
    """What a job says about the servers it adopts.

    Attributes:
        endpoints: Base addresses, without `/v1`.
        served_model: What the servers call the model; None where they use its Hugging Face id.
        api_key_secret: Name of the sealed key that they ask for, never the key; None where they ask for none.
    """

    endpoints: tuple[str, ...]
    served_model: str | None = None
    api_key_secret: str | None = None


def node_of(index: int) -> str:
    """Name of the node that stands for the server at this position, from 0."""
    return f"endpoint-{index}"


def endpoint_at(servers: ExternalServers, node: str) -> str | None:
    """Address of the server that this node stands for."""
    return next((url for index, url in enumerate(servers.endpoints) if node_of(index) == node), None)


def base_address(url: str) -> str:
    """An address as people write it, without what the routes begin with: `http://host:8000/v1/` is `http://host:8000`."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def endpoint_error(url: str) -> str | None:
    """What speaks against an address; None when it can be used.

    Names are not looked up here: an operator who lets others adopt servers has to see to it what names lead to.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return "must be http(s)://host[:port][/path], without user, query or fragment"
    if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:
        return "has a port that there is not"
    host = match["host"].strip("[]")
    if not match["host"].startswith("[") and _NUMERIC_END.search(host) is None:
        return None
    try:
        # Anything that ends in a number is an address to a resolver, also forms that this refuses, such as 0xa9fea9fe.
        address = ipaddress.ip_address(host)
    except ValueError:
        return "has a host that is no proper address"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if (mapped or address).is_link_local:
        return "is a link-local address, where clouds keep their credentials"
    if (mapped or address).is_multicast or (mapped or address).is_unspecified:
        return "is not the address of one server"
    return None
