"""The picture in a request's body, which never leaves memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mtpsl.serving.limits import Limits

AROUND = 2**16
"""Bytes that a form may have around the picture."""
PATIENCE = 60.0
"""Seconds in which a body has to arrive."""


class InMemory(MultiPartParser):
    """Forms whose files are never put on the disk, however large; who feeds it bounds them."""

    spool_max_size = sys.maxsize


async def read_body(request: Request, limits: Limits, patience: float = PATIENCE) -> bytes:
    """The bytes of the one picture that a request carries: the body, or the only file of a form.

    Raises:
        HTTPException: there is none, or there are several; it is too large, or arrives too slowly.
    """
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    most = limits.bytes + (AROUND if form else 0)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large(limits)
    try:
        async with asyncio.timeout(patience):
            stream = limited(request.stream(), most, limits)
            data = await file_of_form(request, stream) if form else b"".join([chunk async for chunk in stream])
    except TimeoutError:
        raise HTTPException(408, f"the picture did not arrive within {patience:g} seconds: send it again") from None
    if not data:
        raise HTTPException(400, "there is no picture: send its bytes as the body, or as the file of a form")
    if len(data) > limits.bytes:
        raise too_large(limits)
    return data


async def file_of_form(request: Request, stream: AsyncGenerator[bytes, None]) -> bytes:
    """The only file of a form; its name and the form's other fields are not looked at.

    Raises:
        HTTPException: it cannot be read, has no file, or several.
    """
    try:
        form = await InMemory(request.headers, stream, max_files=1, max_fields=20).parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    data = await files[0].read() if files else b""
    await form.close()
    return data


async def limited(stream: AsyncGenerator[bytes, None], most: int, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The same chunks, until there are too many bytes.

    Raises:
        HTTPException: there are.
    """
    count = 0
    async for chunk in stream:
        count += len(chunk)
        if count > most:
            raise too_large(limits)
        yield chunk


def too_large(limits: Limits) -> HTTPException:
    """The refusal of a file with too many bytes."""
    return HTTPException(
        413,
        f"the picture has more than {limits.megabytes:g} MB: shrink it, or start the server with more --max_megabytes",
    )
