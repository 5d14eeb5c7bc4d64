"""A client of the server that shares no code with it: Debian's python3-websockets and http.client.

Usage: custom_events.py HOST PORT API_KEY ALICE_TOKEN BOB_TOKEN SERVER_TOKEN
Two users meet in messaging:lobby. Prints one line a step; ends with status 0 if all of them came true.
Then waits to be sent away by the server, and prints the close code.
"""
import asyncio
import http.client
import json
import sys
import urllib.parse

import websockets

HOST, PORT, API_KEY, ALICE, BOB, SERVER = sys.argv[1:7]


def connect_url(user_id, token, **changes):
    details = {"id": user_id, "name": user_id.capitalize()}
    query = {
        "json": json.dumps({"user_id": user_id, "user_details": details}),
        "api_key": API_KEY,
        "authorization": token,
        "stream-auth-type": "jwt",
    }
    query.update(changes)
    return "ws://%s:%s/connect?%s" % (HOST, PORT, urllib.parse.urlencode(query))


def call_now(method, path, token, body, chunked):
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=20)
    headers = {"Authorization": token, "stream-auth-type": "jwt", "Content-Type": "application/json"}
    text = json.dumps(body).encode()
    pieces = text
    if chunked:  # one byte a chunk: a body may come in any pieces
        headers["Transfer-Encoding"] = "chunked"
        pieces = (text[i:i + 1] for i in range(len(text)))
    connection.request(method, path, pieces, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    result = answer.status, json.loads(answer.read())
    connection.close()
    return result


async def call(method, path, token, body, chunked=False, **query):
    query["api_key"] = API_KEY
    path += "?" + urllib.parse.urlencode(query)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, call_now, method, path, token, body, chunked)


async def next_of(socket, event_type):
    while True:
        event = json.loads(await asyncio.wait_for(socket.recv(), 20))
        if event["type"] == event_type:
            return event


def step(name, holds):
    print(("ok " if holds else "FAILED ") + name, flush=True)
    if not holds:
        sys.exit(1)


async def refused():
    async with websockets.connect(connect_url("alice", BOB)) as socket:
        first = json.loads(await socket.recv())
        step("refusal in the first frame", first["error"]["code"] == 5)
        try:
            await socket.recv()
            step("closed after the refusal", False)
        except websockets.ConnectionClosed as closed:
            step("closed after the refusal", closed.code == 1000)


async def main():
    await refused()
    async with websockets.connect(connect_url("alice", ALICE)) as alice, \
            websockets.connect(connect_url("bob", BOB)) as bob:
        first = json.loads(await alice.recv())
        step("first frame", first["type"] == "health.check" and first["me"]["name"] == "Alice")
        alice_id = first["connection_id"]
        bob_id = json.loads(await bob.recv())["connection_id"]

        status, body = await call("POST", "/channels/messaging/lobby/query", ALICE,
                                  {"watch": True, "state": True, "data": {"members": ["alice", "bob"]}},
                                  connection_id=alice_id)
        step("channel made and watched", status == 201 and body["watcher_count"] == 1)
        await next_of(bob, "notification.added_to_channel")
        step("bob hears of it", True)
        status, body = await call("POST", "/channels/messaging/lobby/query", BOB,
                                  {"watch": True}, chunked=True, connection_id=bob_id)
        step("watched with a chunked body", status == 201 and body["watcher_count"] == 2)

        status, body = await call("POST", "/channels/messaging/lobby/event", ALICE,
                                  {"event": {"type": "friendship_request", "text": "Hey \u00e4\U0001F600"}})
        event = await next_of(bob, "friendship_request")
        step("event delivered as answered", status == 201 and event == body["event"])
        step("event to its sender", await next_of(alice, "friendship_request") == event)

        status, body = await call("POST", "/users/bob/event", SERVER,
                                  {"event": {"type": "greeting", "n": 2 ** 60}})
        event = await next_of(bob, "greeting")
        step("user event", status == 201 and event["n"] == 2 ** 60 and "cid" not in event)

        status, body = await call("POST", "/channels/messaging/lobby/event", ALICE,
                                  {"event": {"type": "message.new"}})
        step("forged type refused", status == 400 and body["code"] == 18)

        await alice.send('[{"type":"health.check","client_id":"alice--1"}]')
        check = await next_of(alice, "health.check")
        step("health check", check["connection_id"] == alice_id and "me" not in check)
        pong = await bob.ping(b"x")
        await asyncio.wait_for(pong, 20)
        await next_of(bob, "health.check")
        step("ping", True)

        await alice.close(1000)
        stop = await next_of(bob, "user.watching.stop")
        step("watch ends with the connection", stop["user"]["id"] == "alice" and stop["watcher_count"] == 1)

        print("ready to be sent away", flush=True)
        try:
            await bob.recv()
        except websockets.ConnectionClosed as closed:
            print("closed with", closed.code, flush=True)


asyncio.run(main())
