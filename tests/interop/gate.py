"""A registry that stops in the middle of a blob, so that a test can act while a program copies."""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

WAITING = 60  # seconds


class Gate:
    """Passes everything on from another registry, but sends only half of one blob until it is opened."""

    def __init__(self, registry: str, digest: str) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                upstream = http.client.HTTPConnection(registry, timeout=WAITING)
                headers = {key: value for key, value in self.headers.items() if key.lower() in ("accept", "range")}
                upstream.request(self.command, self.path, headers=headers)
                response = upstream.getresponse()
                body = response.read()
                upstream.close()
                self.send_response(response.status)
                for key, value in response.getheaders():
                    if key.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                        self.send_header(key, value)
                self.send_header("Content-Length", response.getheader("Content-Length") or str(len(body)))
                self.end_headers()
                if self.command == "GET" and digest in self.path:
                    self.wfile.write(body[: len(body) // 2])
                    body = body[len(body) // 2 :]
                    gate.reached.set()
                    gate._open.wait(WAITING)
                with suppress(ConnectionError):  # the program may have been killed
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open()
        self._server.shutdown()
        self._server.server_close()

    def wait(self) -> None:
        assert self.reached.wait(WAITING), "nobody has asked for the blob"

    def open(self) -> None:
        self._open.set()
