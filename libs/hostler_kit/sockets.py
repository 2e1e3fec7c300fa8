"""A listening socket, as every server of ours opens it."""

import socket


def listening_socket(host: str, port: int, *, share: bool) -> socket.socket:
    """A socket that listens at once.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        share: Whether other processes may listen there too.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol asyncio knows that it may switch Nagle's algorithm off, which would hold each small answer back by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share and hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(2048)
    listener.setblocking(False)
    return listener
