"""Receives webhooks, on Debian's python3-aiohttp, and checks them with Python's own hmac: receiver.py SECRET

Answers with the statuses in the path: /503,200 answers the first request with 503, and those after it with 200.
Writes {"port":P}, and for each request its headers, "body" decoded, and whether the signature holds.
"""
import asyncio
import gzip
import hashlib
import hmac
import json
import sys

from aiohttp import web

SECRET = sys.argv[1].encode()
received = {}


def report(**fields):
    print(json.dumps(fields), flush=True)


async def receive(request):
    body = await request.content.read()
    if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    statuses = request.path.strip("/").split(",")
    count = received[request.path] = received.get(request.path, 0) + 1
    status = int(statuses[min(count, len(statuses)) - 1])
    report(method=request.method, status=status, body=json.loads(body), text=body.decode(),
           headers={name.lower(): value for name, value in request.headers.items()},
           holds=hmac.compare_digest(expected, request.headers.get("X-Signature", "")))
    return web.Response(status=status)


async def main():
    app = web.Application(handler_args={"auto_decompress": False})
    app.router.add_route("*", "/{path:.*}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    report(port=runner.addresses[0][1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
