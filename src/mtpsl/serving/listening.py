"""The address that a server listens at."""

from __future__ import annotations

import errno
import socket
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette

from mtpsl.errors import UserError

GRACE = 10
"""Seconds in which what was asked before the end is still answered."""


@dataclass(frozen=True)
class Listening(AbstractContextManager["Listening"]):
    """An open socket, closed at the end of a `with`.

    Args:
        socket: where connections already queue.
        host: as it was asked for.
    """

    socket: socket.socket
    host: str

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        address, port = self.socket.getsockname()[:2]
        host = self.host
        if ip_address(address).is_unspecified:  # all addresses of this machine, of which a browser needs one
            host = "::1" if ":" in address else "127.0.0.1"
        return f"http://{bracketed(host)}:{port}"

    @property
    def loopback(self) -> bool:
        """Whether it is reached from this machine alone."""
        return ip_address(self.socket.getsockname()[0]).is_loopback

    @property
    def hosts(self) -> list[str] | None:
        """The names by which it may be called; None for any, where it is not of this machine alone."""
        return ["localhost", "127.0.0.1", "[::1]", bracketed(self.host)] if self.loopback else None


def listen(host: str, port: int) -> Listening:
    """Take a port; 0 is any that is free.

    Raises:
        UserError: it is taken, or cannot be had; the host is no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port should be from 0 to 65535, not {port}")
    try:
        if "*" in host:  # some resolvers find this machine, and as an allowed host it would be any
            raise socket.gaierror(socket.EAI_NONAME, "a pattern")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return Listening(socket.create_server(address[:2], family=family), host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} of {host} is in use: choose another --port, or end what uses it") from error
        if error.errno == errno.EACCES:
            raise UserError(f"--port {port} is not allowed to you: choose one above 1023") from error
        raise UserError(f"--host {host} is no address of this machine ({error.strerror}): try 127.0.0.1") from error


def bracketed(host: str) -> str:
    """A host as addresses of pages have it.

    >>> bracketed("localhost"), bracketed("::1")
    ('localhost', '[::1]')
    """
    return f"[{host}]" if ":" in host else host


def run_server(app: Starlette, listening: Listening) -> None:
    """Answer until Ctrl-C; what is asked for is not logged, only what goes wrong."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ws="none",
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening.socket])
