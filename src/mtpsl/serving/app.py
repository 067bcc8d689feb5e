"""The server's addresses: the page, what it asks for, answers for programs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mtpsl.errors import lacks_memory
from mtpsl.inference.canvas import Canvas
from mtpsl.inference.explanation import explain_task
from mtpsl.inference.images import Picture, size_of
from mtpsl.plugins import title
from mtpsl.serving.answers import answer
from mtpsl.serving.bodies import read_body
from mtpsl.serving.guarding import SameOrigin
from mtpsl.serving.limits import Limits
from mtpsl.serving.pages import policy, render_page, render_views
from mtpsl.serving.queries import Query, read_query
from mtpsl.serving.uploads import open_upload
from mtpsl.serving.views import draw_views
from mtpsl.training.trained import TrainedRun

T = TypeVar("T")
WHERE = "there is nothing here: this server knows GET /, GET /health and POST /predict"
AT_ONCE = 8
"""Requests whose pictures are in memory; further ones wait before they are read."""


def make_app(run: TrainedRun, limits: Limits, hosts: Sequence[str] | None = None) -> Starlette:
    """A server of one run: `GET /` a page, `POST /predict` JSON, `GET /health`.

    One picture is predicted at a time. Pictures are never written anywhere.

    Args:
        run: what predicts.
        limits: what is refused.
        hosts: the names by which it may be called, so that no other site's name can be made to lead here; None for any.
    """
    service = Service(run, limits)
    guards = [Middleware(SameOrigin)]
    if hosts is not None:
        guards.append(Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False))
    return Starlette(
        routes=[
            Route("/", service.page),
            Route("/health", service.health),
            Route("/view", service.view, methods=["POST"]),
            Route("/predict", service.predict, methods=["POST"]),
        ],
        middleware=guards,
        exception_handlers={HTTPException: refuse, ClientDisconnect: leave, Exception: fail},
        lifespan=service.lifespan,
    )


class Service:
    """What answers requests.

    Args:
        run: what predicts.
        limits: what is refused.
    """

    def __init__(self, run: TrainedRun, limits: Limits) -> None:
        self.limits, self.predictor = limits, run.predictor
        self.facts = {
            "status": "ok",
            "mtpsl": version("mtpsl"),
            "run": run.folder.path.resolve().name.encode("utf-8", "replace").decode(),
            "network": title(run.config.network),
            "epoch": run.epoch,
            "checkpoint": run.checkpoint,
            "device": str(self.predictor.device),
            "max_megabytes": limits.megabytes,
            "max_megapixels": limits.megapixels,
            "tile": limits.tile,
            "tasks": {task.name: explain_task(task, decoded=True) for task in run.tasks},
        }
        self.worker = ThreadPoolExecutor(1, "predict")
        self.turn, self.room = asyncio.Lock(), asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """End the worker with the server."""
        yield
        self.worker.shutdown(cancel_futures=True)

    async def page(self, request: Request) -> Response:
        """The page."""
        return HTMLResponse(render_page(self.facts, self.limits), headers={"content-security-policy": policy()})

    async def health(self, request: Request) -> Response:
        """That it answers, and what."""
        return JSONResponse(self.facts)

    async def view(self, request: Request) -> Response:
        """What the page shows of a picture."""

        def show(data: bytes) -> dict[str, Any]:
            picture, canvases, seconds = self.look(data)
            views, values = draw_views(picture, canvases)
            return {"html": render_views(views), "values": values, "size": size_of(picture), "seconds": seconds}

        return JSONResponse(await self.worked(request, show))

    async def predict(self, request: Request) -> Response:
        """The predictions of a picture."""
        query = read_query(request.query_params, [task.name for task in self.predictor.tasks])

        def say(data: bytes) -> list[bytes]:
            _, canvases, seconds = self.look(data, query)
            return answer(canvases, seconds)

        parts = await self.worked(request, say)

        async def sent() -> AsyncIterator[bytes]:
            for number in range(len(parts)):
                yield parts[number]
                parts[number] = b""
                await asyncio.sleep(0)  # lets the loop notice who hung up, before asyncio complains of further writes

        length = {"content-length": str(sum(map(len, parts)))}
        return StreamingResponse(sent(), media_type="application/json", headers=length)

    async def worked(self, request: Request, work: Callable[[bytes], T]) -> T:
        """The result of a function of the request's picture, in the one thread that predicts, when it is its turn.

        Raises:
            HTTPException: the picture, or what is asked for, is refused.
            ClientDisconnect: who asked has gone.
        """
        async with self.room:
            data = await read_body(request, self.limits)
            async with self.turn:
                if await request.is_disconnected():
                    raise ClientDisconnect
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self.worker, told_of_memory, work, data)

    def look(self, data: bytes, query: Query | None = None) -> tuple[Picture, list[Canvas], float]:
        """A picture, the predictions that are asked for, and the seconds that they took.

        Raises:
            HTTPException: it is refused.
        """
        picture = open_upload(data, self.limits)
        start = time.perf_counter()
        confidence = query is not None and query.confidence
        canvases, _ = self.predictor.draw(picture, tile=self.limits.tile, confidence=confidence)
        seconds = time.perf_counter() - start
        return picture, [one for one in canvases if query is None or one.task.name in query.tasks], seconds


def told_of_memory(work: Callable[[bytes], T], data: bytes) -> T:
    """The result, or a refusal that says that memory does not suffice.

    Raises:
        HTTPException: memory ran out.
    """
    try:
        return work(data)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise HTTPException(
            503, "there is not enough memory for this picture: shrink it, or start the server with --tile"
        ) from error


async def refuse(request: Request, error: Exception) -> Response:
    """A refusal as JSON: one line that says what is wrong."""
    assert isinstance(error, HTTPException)
    words = WHERE if error.status_code in (404, 405) else " ".join(error.detail.split())
    return JSONResponse({"error": words}, error.status_code, error.headers)


async def leave(request: Request, error: Exception) -> Response:
    """Nobody reads it."""
    return Response(status_code=400)


async def fail(request: Request, error: Exception) -> Response:
    """An error of the program, whose traceback the terminal shows."""
    return JSONResponse({"error": "the server made a mistake: its terminal says more"}, 500)
