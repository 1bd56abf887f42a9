"""A real headless Chromium, driven through its own driver over WebDriver."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NEEDED = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium and its driver are not installed"
)

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's name, by the standard
_KEYS = {
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Home": "\ue011",
    "End": "\ue010",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
_PATIENCE = 30.0  # seconds


class Browser:
    """One window. Elements are found by CSS selectors."""

    def __init__(self, driver: str, size: tuple[int, int]) -> None:
        self._driver = driver
        arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--window-size={size[0]},{size[1]}",
        ]
        wanted = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self._driver + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(call, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def quit(self) -> None:
        self._call("DELETE", self._session)

    def open(self, page: Path) -> None:
        self._call("POST", f"{self._session}/url", {"url": page.as_uri()})

    def script(self, body: str, *arguments: object) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": body, "args": list(arguments)})

    def devtools(self, command: str, **parameters: object) -> Any:
        """A command of the DevTools protocol: to emulate a phone, a colour scheme, or paper."""
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", body)

    def errors(self) -> list[str]:
        """What the console has of errors and warnings, the policy's among them."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def _element(self, selector: str) -> str:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        return f"{self._session}/element/{found[_ELEMENT]}"

    def click(self, selector: str) -> None:
        self._call("POST", f"{self._element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._call("POST", f"{self._element(selector)}/value", {"text": _KEYS.get(text, text)})

    def press(self, key: str) -> None:
        """Presses a key where the focus is."""
        active = self._call("GET", f"{self._session}/element/active")
        path = f"{self._session}/element/{active[_ELEMENT]}/value"
        self._call("POST", path, {"text": _KEYS[key]})

    def role(self, selector: str) -> tuple[str, str]:
        """What assistive technology is told: role and label."""
        element = self._element(selector)
        return self._call("GET", f"{element}/computedrole"), self._call("GET", f"{element}/computedlabel")

    def texts(self, selector: str) -> list[str]:
        """What is to be read in all such elements."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)"
        found: list[str] = self.script(script, selector)
        return found

    def wait(self, selector: str, text: str) -> None:
        """Waits until the first such element has this in its text."""
        deadline = time.monotonic() + _PATIENCE
        while text not in "".join(self.texts(selector)[:1]):
            assert time.monotonic() < deadline, (selector, text, self.texts(selector)[:1])
            time.sleep(0.02)


@contextmanager
def browser(profile: Path, size: tuple[int, int] = (1200, 900)) -> Iterator[Browser]:
    """A browser that is gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HOME": str(profile), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the driver does not answer"
                time.sleep(0.05)
        window = Browser(f"http://127.0.0.1:{port}", size)
        try:
            yield window
        finally:
            window.quit()
    finally:
        driver.terminate()
        driver.wait(timeout=_PATIENCE)
