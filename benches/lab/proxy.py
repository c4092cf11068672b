"""A TCP proxy that holds everything back for some milliseconds, in each direction.

    python3 proxy.py TARGET_PORT MILLISECONDS     prints the port that it listens at, and runs until it is killed

It delays bytes, not the opening of a connection: a connection to it opens at once. Bandwidth is not limited.
"""

import asyncio
import collections
import sys

HELD = 8 << 20


class End(asyncio.Protocol):
    """One side of a connection: what it reads is written to its peer, later."""

    def __init__(self, delay, ready=None):
        self.delay, self.ready = delay, ready
        self.loop = asyncio.get_running_loop()
        self.transport = self.peer = None
        self.waiting, self.held, self.timer = collections.deque(), 0, None

    def connection_made(self, transport):
        self.transport = transport
        if self.ready:
            self.ready(self)

    def data_received(self, data):
        self.later(data)

    def eof_received(self):
        self.later(None)
        return True

    def connection_lost(self, _error):
        self.later(None)

    def later(self, data):
        self.waiting.append((self.loop.time() + self.delay, data))
        self.held += len(data or b"")
        if self.held > HELD and not self.transport.is_closing():
            self.transport.pause_reading()
        if self.timer is None:
            self.timer = self.loop.call_at(self.waiting[0][0], self.pass_on)

    def pass_on(self):
        self.timer = None
        if self.peer is None or self.peer.transport is None:
            self.timer = self.loop.call_later(self.delay, self.pass_on)
            return
        now = self.loop.time() + 0.0005
        while self.waiting and self.waiting[0][0] <= now:
            _, data = self.waiting.popleft()
            if data is None:
                self.peer.transport.close()
            elif not self.peer.transport.is_closing():
                self.peer.transport.write(data)
                self.held -= len(data)
        if self.held <= HELD and not self.transport.is_closing():
            self.transport.resume_reading()
        if self.waiting:
            self.timer = self.loop.call_at(self.waiting[0][0], self.pass_on)


async def main(target, delay):
    loop = asyncio.get_running_loop()
    tasks = set()

    async def connect(inner):
        try:
            _, outer = await loop.create_connection(lambda: End(delay), "127.0.0.1", target)
        except OSError:
            inner.transport.abort()
            return
        inner.peer, outer.peer = outer, inner

    def arrived(inner):
        task = loop.create_task(connect(inner))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await loop.create_server(lambda: End(delay, arrived), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
