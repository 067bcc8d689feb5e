"""Headless Chromium, driven through a pipe: no driver, no further package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HARMLESS = ("interestCohort", "Permissions-Policy", "willReadFrequently")  # the last is of what tests do


class Browser:
    """One page of a browser: `open` it, `evaluate` scripts in it, take a `picture` of it.

    Attributes:
        complaints: errors and warnings of the console, and exceptions.
        requests: the addresses that the page asked for.
    """

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self.process, self._write, self._read = process, write, read
        self._number, self._rest = 0, b""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._events: list[str] = []
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session: str | None = None
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False, phone: bool = False
    ) -> None:
        """Show a file or an address and wait until it is loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self._call("Emulation.setDeviceMetricsOverride", size)
        self.media(dark=dark)
        self._events.clear()
        self._call("Page.navigate", {"url": page if isinstance(page, str) else page.resolve().as_uri()})
        while "Page.loadEventFired" not in self._events:
            self._receive()

    def media(self, kind: str = "", *, dark: bool = False) -> None:
        """Show the page as on paper (`print`), or in dark colors."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", {"media": kind, "features": scheme})

    def evaluate(self, script: str) -> Any:
        """The value of an expression, which may be a promise."""
        answer = self._call(
            "Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "exception"))
        return answer["result"].get("value")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in an input for files, as the dialog that it opens would."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self._call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(file.resolve())]})

    def key(self, key: str) -> None:
        """Press a key where the focus is."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            code = {"windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
            self._call("Input.dispatchKeyEvent", {"type": kind, "key": key, **code, **text})

    def mouse(self, kind: str, x: float, y: float, *, pressed: bool = False) -> None:
        """Move (`mouseMoved`), press or release the mouse at a place of the window."""
        button = {"button": "left", "buttons": int(pressed), "clickCount": 1} if kind != "mouseMoved" or pressed else {}
        self._call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})

    def picture(self, out: Path, *, whole: bool = False) -> None:
        """Write what is seen as PNG."""
        content = self._call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})["data"]
        out.write_bytes(base64.b64decode(content))

    def pdf(self, out: Path) -> None:
        """Print."""
        out.write_bytes(base64.b64decode(self._call("Page.printToPDF", {"printBackground": False})["data"]))

    def _call(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": dict(parameters or {})}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("Chromium ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, content: dict[str, Any]) -> None:
        self._events.append(event)
        if event == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(content["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif event == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(one.get("value")) for one in content["args"]))
        elif event == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            text = content["entry"]["text"]
            self.complaints += [] if any(word in text for word in HARMLESS) else [text]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window and without a network, ended after use."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += [
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
        ]
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'  # where Chromium expects the pipe
        process = subprocess.Popen(
            ["bash", "-c", script, CHROMIUM, *flags, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(process, ours_out, ours_in)
        finally:
            process.terminate()
            process.wait(20)
            os.close(ours_out)
            os.close(ours_in)
