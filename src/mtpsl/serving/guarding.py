"""Requests that another page makes a browser send are refused, and answers stay with who asked."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class SameOrigin:
    """Refuses what a browser sends for a page that did not come from this server (its `Origin` header says so)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be answered, with headers that keep answers out of caches and other pages."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ALWAYS)
            await send(message)

        headers = Headers(scope=scope)
        if foreign(headers.get("origin"), headers.get("host", "")):
            refusal = JSONResponse({"error": "this server answers no pages of other sites: open its own"}, 403)
            await refusal(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)


def foreign(origin: str | None, host: str) -> bool:
    """Whether a request was made by a page from elsewhere; programs and addresses typed by hand have no origin.

    >>> foreign(None, "localhost:8000"), foreign("http://localhost:8000", "localhost:8000")
    (False, False)
    >>> foreign("http://evil.example", "localhost:8000"), foreign("null", "localhost:8000")
    (True, True)
    """
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True
