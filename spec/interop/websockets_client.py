"""Drives an echo server with Debian's python3-websockets: websockets_client.py URL

Prints one line for each thing that came true; ends with status 1 at the first one that did not.
"""
import asyncio
import sys

import websockets

URL = sys.argv[1]
SECONDS = 60  # a guard, no measurement


def check(name, holds):
    print(("ok " if holds else "FAILED ") + name, flush=True)
    if not holds:
        sys.exit(1)


def connect():
    return websockets.connect(URL, max_size=None, ping_interval=None)


async def echo(socket, name, message, sent=None):
    """Sends 'sent' (fragments, or the message itself) and expects the message back."""
    await socket.send(message if sent is None else sent)
    answer = await asyncio.wait_for(socket.recv(), SECONDS)
    check(name, type(answer) is type(message) and answer == message)


async def messages():
    async with connect() as socket:
        check("no extension is agreed on", not socket.extensions)
        await echo(socket, "text", "H\u00e9llo \u20ac \U0001F600")
        await echo(socket, "binary", bytes(range(256)))
        await echo(socket, "empty text", "")
        await echo(socket, "empty binary", b"")
        for length in (125, 126, 127, 65535, 65536):
            await echo(socket, "text of %d bytes" % length, "x" * length)
        await echo(socket, "fragmented text", "one two three", ["one ", "two ", "three"])
        await echo(socket, "fragmented binary", b"\x00\x01\x02", [b"\x00", b"", b"\x01\x02"])
        await echo(socket, "16 MiB of binary", b"\x00\xff" * (8 << 20))
        await echo(socket, "16 MiB of text in 64 fragments", "\u00e4" * (8 << 20), ["\u00e4" * (1 << 17)] * 64)
        for payload in (b"", b"payload", b"x" * 125):
            await asyncio.wait_for(await socket.ping(payload), SECONDS)
            check("ping of %d bytes" % len(payload), True)
        await socket.pong(b"unasked")
        await echo(socket, "text after a pong that nobody asked for", "still here")
        many = ["message %d" % i for i in range(1000)]
        for text in many:
            await socket.send(text)
        check("1000 messages in order", [await socket.recv() for _ in many] == many)


async def closing(code, reason):
    async with connect() as socket:
        await socket.close(code, reason)
        check("close %d is answered" % code, socket.close_code == code)


async def raw(name, data, code):
    """Sends bytes past the library's own checks; expects to be closed with that code."""
    async with connect() as socket:
        socket.transport.write(data)
        try:
            await asyncio.wait_for(socket.recv(), SECONDS)
            check(name, False)
        except websockets.ConnectionClosed as closed:
            check(name, closed.code == code)


async def main():
    await messages()
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        await closing(code, "reason \u00e4")
    mask = b"\x00\x00\x00\x00"  # leaves the payload as it is
    await raw("an unmasked frame", b"\x81\x01x", 1002)
    await raw("a reserved bit", b"\xc1\x81" + mask + b"x", 1002)
    await raw("an unknown opcode", b"\x83\x80" + mask, 1002)
    await raw("a fragmented ping", b"\x09\x80" + mask, 1002)
    await raw("a ping of 126 bytes", b"\x89\xfe\x00\x7e" + mask + b"x" * 126, 1002)
    await raw("a text that is not UTF-8", b"\x81\x82" + mask + b"\xc3\x28", 1007)
    await raw("a message that is too long", b"\x82\xff\x7f" + b"\xff" * 7 + mask, 1009)
    await raw("half a close code", b"\x88\x81" + mask + b"\x03", 1002)
    await raw("a close code that may not be sent", b"\x88\x82" + mask + b"\x03\xed", 1002)


asyncio.run(asyncio.wait_for(main(), SECONDS * 5))
print("done", flush=True)
