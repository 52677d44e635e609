"""What stands between the workers and the S3 server: passes bytes on, refuses, or swallows answers."""

import asyncio
import contextlib
import random
import threading
from typing import Self

BLOCK = 1 << 16
REFUSALS = {500: ("Internal Server Error", "InternalError"), 503: ("Service Unavailable", "SlowDown")}


class Gateway:
    """A TCP proxy on a port of its own, in a thread of its own.

    `refuse` answers a share of the connections with 500 or 503, `swallow` lets a share of the requests reach the server
    and resets the connection where the answer would come; `pass_on` ends both. Each of them cuts what is connected, for
    clients keep their connections for long.
    """

    def __init__(self, upstream_port: int, dice: random.Random):
        self._upstream_port = upstream_port
        self._dice = dice
        self._trouble: str | None = None
        self._share = 0.0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self.port = 0
        self.spoilt = 0

    def __enter__(self) -> Self:
        self._thread.start()
        server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refuse(self, share: float) -> None:
        self._call(self._change("refuse", share))

    def swallow(self, share: float) -> None:
        self._call(self._change("swallow", share))

    def pass_on(self) -> None:
        self._call(self._change(None, 0))

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _change(self, trouble: str | None, share: float) -> None:
        self._trouble, self._share = trouble, share
        for writer in self._open:
            writer.transport.abort()

    async def _close(self) -> None:
        """Ends every connection and waits for those who served them."""
        await self._change(None, 0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        trouble = self._trouble if self._dice.random() < self._share else None
        self.spoilt += trouble is not None
        try:
            if trouble == "refuse":
                await self._refuse(reader, writer)
            else:
                await self._connect(reader, writer, swallow=trouble == "swallow")
        except OSError:
            writer.transport.abort()  # the server is away, or the client went
        finally:
            self._open.discard(writer)
            writer.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(BLOCK)
        status = self._dice.choice(list(REFUSALS))
        reason, code = REFUSALS[status]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Chaos.</Message></Error>".encode()
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, swallow: bool) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        ways = [
            asyncio.ensure_future(_pump(reader, there_writer)),
            asyncio.ensure_future(_swallow(there_reader, writer) if swallow else _pump(there_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            there_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the server's word: a mere "go on" (100) is let through."""
    while (block := await reader.read(BLOCK)).startswith(b"HTTP/1.1 100"):
        writer.write(block)
    with contextlib.suppress(OSError):
        writer.transport.abort()
