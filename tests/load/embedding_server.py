"""A small embedding service for tests: asyncio and the standard library, nothing of slokit.

Run as a program it prints its port. `--delay-s` is the service time, `--freeze A:B` stops
the whole process from A to B seconds after the first request, as a garbage collection would.
"""

import argparse
import asyncio
import json
import math
import time

VECTOR = [0.5, 0.5, 0.5, 0.5]


class Service:
    def __init__(self, delay_s: float, freeze: tuple[float, float]) -> None:
        self.delay_s, self.freeze = delay_s, freeze
        self.first_s: float | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(await self.answer(head, reader))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        lines = head.decode("ascii").lower().split("\r\n")
        path = lines[0].split(" ")[1]
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if path == "/v1/models":
            return reply({"object": "list", "data": [{"id": "tiny"}]})
        if path != "/v1/embeddings":
            return reply({"error": {"message": "no such route"}}, status="404 Not Found")
        await self.serve_slowly()
        asked = json.loads(body)["input"]
        texts = [asked] if isinstance(asked, str) else asked
        rows = [{"object": "embedding", "index": i, "embedding": VECTOR} for i in range(len(texts))]
        tokens = sum(len(text) for text in texts)
        return reply(
            {"object": "list", "data": rows, "usage": {"prompt_tokens": tokens}},
            timing=f"queue;dur=0.25, infer;dur={self.delay_s * 1000}",
        )

    async def serve_slowly(self) -> None:
        self.first_s = self.first_s or time.monotonic()
        begin, end = self.freeze
        if begin <= time.monotonic() - self.first_s < end:
            time.sleep(end - (time.monotonic() - self.first_s))  # noqa: ASYNC251 - all must wait
        await asyncio.sleep(self.delay_s)


def reply(document: object, status: str = "200 OK", timing: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
    head += f"server-timing: {timing}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-s", type=float, default=0.002)
    parser.add_argument("--freeze", default="inf:inf")
    options = parser.parse_args()
    begin, end = (math.inf if t == "inf" else float(t) for t in options.freeze.split(":"))
    service = Service(options.delay_s, (begin, end))
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the test reads it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
