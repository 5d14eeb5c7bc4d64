"""A client as specs drive it: driver.py websockets|aiohttp

Reads commands from standard input, a JSON object a line, and writes what happened in the same way:
  {"do":"open","socket":S,"url":U,"headers":{}}   {"socket":S,"opened":true,"extensions":E}, or "failed"
  {"do":"send","socket":S,"text":T}               or "fragments": [T...], where the library has them
  {"do":"ping","socket":S}                        {"socket":S,"pong":true}
  {"do":"close","socket":S,"code":C}
  {"do":"call","id":I,"method":M,"url":U,"headers":{},"body":T}
                                                  {"id":I,"status":N,"headers":{},"body":JSON,"text":T}
What sockets receive becomes {"socket":S,"frame":JSON,"text":T}, their end {"socket":S,"closed":CODE}.
"""
import asyncio
import json
import sys
import urllib.error
import urllib.request


def report(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def report_answer(number, status, headers, text):
    report(id=number, status=status, text=text, body=parsed(text),
           headers={name.lower(): value for name, value in headers})


class Websockets:
    """Debian's python3-websockets; what it has not got, HTTP, is Python's own urllib."""

    async def open(self, url, headers):
        import websockets
        return await websockets.connect(url, extra_headers=headers, ping_interval=None)

    def extensions(self, socket):
        return ", ".join(extension.name for extension in socket.extensions)

    async def read(self, socket):
        """The next text; raises EOFError with the close code at the end."""
        import websockets
        try:
            return await socket.recv()
        except websockets.ConnectionClosed:
            raise EOFError(socket.close_code)

    async def send(self, socket, text, fragments):
        await socket.send(fragments if fragments else text)

    async def ping(self, socket):
        await (await socket.ping(b"are you there"))
        report(socket=socket.name, pong=True)

    async def close(self, socket, code):
        await socket.close(code)

    def call_now(self, number, method, url, headers, body):
        request = urllib.request.Request(url, None if body is None else body.encode(), headers,
                                         method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return number, answer.status, answer.headers.items(), answer.read().decode()

    async def call(self, *request):
        loop = asyncio.get_running_loop()
        report_answer(*await loop.run_in_executor(None, self.call_now, *request))


class Aiohttp:
    """Debian's python3-aiohttp; its connections are kept, and it offers compression of both kinds."""
    session = None

    def __init__(self):
        import aiohttp
        self.lib = aiohttp

    def kept_session(self):
        if not self.session:
            self.session = self.lib.ClientSession(skip_auto_headers=["Content-Type"])
        return self.session

    async def open(self, url, headers):
        return await self.kept_session().ws_connect(url, headers=headers, autoping=False, compress=15)

    def extensions(self, socket):
        return "permessage-deflate" if socket.compress else ""

    async def read(self, socket):
        while True:
            message = await socket.receive()
            if message.type is self.lib.WSMsgType.PONG:
                report(socket=socket.name, pong=True)
            elif message.type is self.lib.WSMsgType.TEXT:
                return message.data
            else:
                raise EOFError(socket.close_code)

    async def send(self, socket, text, fragments):
        assert not fragments, "aiohttp sends no fragments"
        await socket.send_str(text)

    async def ping(self, socket):
        await socket.ping(b"are you there")

    async def close(self, socket, code):
        socket.reading.cancel()  # while it is being read, a socket's end is not waited for
        await asyncio.sleep(0)
        await socket.close(code=code)
        report(socket=socket.name, closed=socket.close_code)

    async def call(self, number, method, url, headers, body):
        from yarl import URL
        async with self.kept_session().request(method, URL(url, encoded=True), headers=headers,
                                               data=body) as answer:
            report_answer(number, answer.status, answer.headers.items(), await answer.text())


class Driver:
    def __init__(self, library):
        self.library, self.sockets, self.tasks = library, {}, set()

    async def open(self, name, url, headers):
        try:
            socket = await self.library.open(url, headers)
        except Exception as error:  # whatever a library raises: the spec judges
            return report(socket=name, failed=str(error))
        socket.name, socket.reading = name, asyncio.current_task()
        self.sockets[name] = socket
        report(socket=name, opened=True, extensions=self.library.extensions(socket))
        while True:
            try:
                text = await self.library.read(socket)
            except EOFError as end:
                return report(socket=name, closed=end.args[0])
            report(socket=name, frame=parsed(text), text=text)

    def do(self, command):
        library, what = self.library, command["do"]
        headers, body = command.get("headers") or {}, command.get("body")
        if what == "open":
            return self.open(command["socket"], command["url"], headers)
        if what == "call":
            return library.call(command["id"], command["method"], command["url"], headers, body)
        socket = self.sockets[command["socket"]]
        if what == "send":
            return library.send(socket, command.get("text"), command.get("fragments"))
        if what == "ping":
            return library.ping(socket)
        return library.close(socket, command["code"])

    async def run(self):
        reader, loop = asyncio.StreamReader(limit=1 << 24), asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = loop.create_task(self.do(json.loads(line)))
            self.tasks.add(task)
            task.add_done_callback(self.finished)

    def finished(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            print(repr(task.exception()), file=sys.stderr, flush=True)


async def main():
    await Driver({"websockets": Websockets, "aiohttp": Aiohttp}[sys.argv[1]]()).run()


asyncio.run(main())
