"""Plays the server's part of recorded conversations to clients, each as it is told to on standard input:
{"play":N,"file":PATH,"words":{}}, a JSON object a line. A new one ends the last one.

The file holds a JSON object a line, in the order in which things happen:
  {"expect":"POST /path","query":{},"head":{},"body":J}   the next request, on whatever connection. The query has
                              to be this and nothing else; of the headers, those named (null: absent); "*" is anything
  {"answer":201,"head":[LINE],"body":J}      answers it; "text" for a body that is no JSON, "gzip", "deflate",
                                             "chunks": N bytes each, "ends": by the connection's end
  {"upgrade":[LINE]}                         answers it with 101, and these header lines
  {"frame":J}, {"text":T}, {"fragments":[T]}, {"ping":T}, {"bytes":HEX}    sent on the last WebSocket
  {"receive":J}                              the next text frame of the client's; "*" is anything
  {"close":CODE}                             closes, and has it answered; null: ends the connection without
  {"pong":T}                                 the answer to a ping among the bytes
  {"closed":CODE}                            the client closes
A text "$WORD" stands for the word's value, in words.json beside the file or among "words". The lines of the
client's part are left to the spec. Writes {"play":N,"port":P}, at the end {"play":N,"played":true}, and
{"play":N,"failed":WHY} when the client does something else.
"""
import asyncio
import base64
import gzip
import hashlib
import json
import os
import struct
import sys
import urllib.parse
import zlib

from conformance import CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, masked

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SECONDS = 20  # a guard: what has not happened by then does not


class Mismatch(Exception):
    pass


def is_health_check(opcode, text):
    return opcode == TEXT and [item.get("type") for item in json.loads(text)] == ["health.check"]


def report(**fields):
    print(json.dumps(fields), flush=True)


def compare(given, wanted, path):
    if wanted == "*":
        return
    if isinstance(wanted, dict) and isinstance(given, dict) and wanted.keys() == given.keys():
        for key, value in wanted.items():
            compare(given[key], value, "%s.%s" % (path, key))
    elif isinstance(wanted, list) and isinstance(given, list) and len(wanted) == len(given):
        for i, value in enumerate(wanted):
            compare(given[i], value, "%s[%d]" % (path, i))
    elif given != wanted or type(given) is not type(wanted):
        raise Mismatch("%s is %s, not %s" % (path, json.dumps(given), json.dumps(wanted)))


class Request:
    def __init__(self, head, body, writer):
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, _ = lines[0].split(" ")
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        if "json" in self.query:
            self.query["json"] = json.loads(self.query["json"])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.body, self.writer = body, writer


class Player:
    def __init__(self, lines):
        self.lines, self.requests, self.frames = lines, asyncio.Queue(), asyncio.Queue()
        self.request = self.socket = None

    # What comes in.

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head[:-4], b"", writer)
                length = int(request.headers.get("content-length", 0))
                request.body = await reader.readexactly(length)
                await self.requests.put(request)
                if request.headers.get("upgrade", "").lower() == "websocket":
                    return await self.read_frames(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.frames.put(("end", b""))

    async def read_frames(self, reader):
        while True:
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length > 125:
                wide = 2 if length == 126 else 8
                length = int.from_bytes(await reader.readexactly(wide), "big")
            if not second & 0x80 or not first & 0x80:
                raise Mismatch("a frame of the client's is not masked, or not whole")
            mask = await reader.readexactly(4)
            await self.frames.put((first & 15, masked(await reader.readexactly(length), mask)))

    # The lines.

    async def expect(self, line):
        self.request = request = await asyncio.wait_for(self.requests.get(), SECONDS)
        compare("%s %s" % (request.method, request.path), line["expect"], "the request")
        compare(request.query, line.get("query", {}), "query")
        for name, value in line.get("head", {}).items():
            compare(request.headers.get(name.lower()), value, "header " + name)
        if "body" in line:
            compare(json.loads(request.body), line["body"], "body")

    async def answer(self, line):
        body = line["text"].encode() if "text" in line else json.dumps(line.get("body", {})).encode()
        head = ["HTTP/1.1 %d Whatever" % line["answer"]] + line.get("head", [])
        for name, compress in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            if line.get(name):
                body = compress(body)
                head.append("Content-Encoding: " + name)
        if "chunks" in line:
            size = line["chunks"]
            parts = [body[i:i + size] for i in range(0, len(body), size)]
            body = b"".join(b"%x;x=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Trailer: 1\r\n\r\n"
            head.append("Transfer-Encoding: chunked")
        elif not line.get("ends"):
            head.append("Content-Length: %d" % len(body))
        writer = self.request.writer
        writer.write("\r\n".join(head + ["", ""]).encode("latin-1") + body)
        if line.get("ends"):
            writer.close()

    async def upgrade(self, line):
        key = self.request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        head = ["HTTP/1.1 101 Whatever", "Upgrade: websocket", "Connection: Upgrade"] + line["upgrade"]
        head.append("Sec-WebSocket-Accept: " + accept)
        self.socket, self.frames = self.request.writer, asyncio.Queue()
        self.socket.write("\r\n".join(head + ["", ""]).encode())

    def send(self, *frames):
        for frame in frames:
            self.socket.write(frame.encode(is_client=False))

    async def frame(self, line):
        self.send(Frame(TEXT, json.dumps(line["frame"]).encode()))

    async def text(self, line):
        self.send(Frame(TEXT, line["text"].encode()))

    async def fragments(self, line):
        parts = [part.encode() for part in line["fragments"]]
        self.send(*(Frame(CONTINUATION if i else TEXT, part, fin=i == len(parts) - 1)
                    for i, part in enumerate(parts)))

    async def bytes(self, line):
        self.socket.write(bytes.fromhex(line["bytes"]))

    async def ping(self, line):
        self.send(Frame(PING, line["ping"].encode()))
        frame = await self.next_frame()
        while is_health_check(*frame):  # a client may send one at any time
            frame = await self.next_frame()
        compare(frame, [PONG, line["ping"]], "the pong")

    async def pong(self, line):
        compare(await self.next_frame(), [PONG, line["pong"]], "the pong")

    async def next_frame(self):
        opcode, payload = await asyncio.wait_for(self.frames.get(), SECONDS)
        return [opcode, payload.decode("utf-8", "replace")]

    async def receive(self, line):
        opcode, text = await self.next_frame()
        compare(opcode, TEXT, "the opcode")
        compare(json.loads(text), line["receive"], "the frame")

    async def next_close(self, code):
        opcode, payload = await asyncio.wait_for(self.frames.get(), SECONDS)
        compare(opcode, CLOSE, "the opcode")
        compare(int.from_bytes(payload[:2], "big"), code, "the close code")

    async def close(self, line):
        code = line["close"]
        if code is None:
            return self.socket.close()
        self.send(Frame(CLOSE, struct.pack(">H", code)))
        await self.next_close(code)
        self.socket.close()

    async def closed(self, line):
        await self.next_close(line["closed"])
        self.send(Frame(CLOSE, struct.pack(">H", line["closed"])))
        self.socket.close()

    async def play(self, number):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        report(play=number, port=server.sockets[0].getsockname()[1])
        try:
            for at, line in enumerate(self.lines, 1):
                await self.act(line, at)
            report(play=number, played=True)
            await asyncio.Event().wait()  # the client may look on
        except Mismatch as error:
            report(play=number, failed=str(error))
        finally:
            server.close()

    async def act(self, line, at):
        name = next((name for name in line if name in ACTS), None)
        if not name or (name == "text" and "answer" in line):
            return
        try:
            await getattr(self, name)(line)
        except (Mismatch, asyncio.TimeoutError, ValueError) as error:
            raise Mismatch("line %d: %s" % (at, str(error) or type(error).__name__))


ACTS = ("expect", "answer", "upgrade", "frame", "text", "fragments", "bytes", "ping", "pong", "receive", "close",
        "closed")


def spelt_out(value, words):
    if isinstance(value, str) and value.startswith("$"):
        return words.get(value[1:], value)
    if isinstance(value, list):
        return [spelt_out(inner, words) for inner in value]
    if isinstance(value, dict):
        return {key: spelt_out(inner, words) for key, inner in value.items()}
    return value


def read(path, more):
    with open(os.path.join(os.path.dirname(path), "words.json"), encoding="utf-8") as file:
        words = {**json.load(file), **more}
    with open(path, encoding="utf-8") as recorded:
        return [spelt_out(json.loads(line), words) for line in recorded]


async def main():
    reader, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    playing = None
    while line := await reader.readline():
        command = json.loads(line)
        if playing:
            playing.cancel()
        player = Player(read(command["file"], command["words"]))
        playing = loop.create_task(player.play(command["play"]))


asyncio.run(main())
