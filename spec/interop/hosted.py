"""A server for custom events that shares no code with ours, on Debian's python3-aiohttp, with the habits of
the hosted service: hosted.py SECRET

Every API key is an app of its own. How an app behaves is told on standard input, a JSON object a line,
{"key":K,"how":{...}}:
  "first": T           is sent as the first frame, and then the connection is closed with "close" (1000)
  "status": N          answers the WebSocket handshake with that status and "text"
  "refuse": {PATH: {"status":N,"text":T,"head":{},"times":N}}    answers calls to a path so
  "dress": NAME        how objects are written, see DRESSES
  "compress": NAME     gzip or deflate, of every answer
  "chunked": true      of every answer
  "developer": true    takes tokens without looking at their signatures
With "drop": true beside "how" all connections end, without a close frame. Answers {"key":K,"told":true}. Writes {"port":P}, and {"key":K,"call":"POST /path","user":ID} for every request that it gets.
"""
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import uuid

from aiohttp import WSMsgType, web

SECRET = sys.argv[1].encode()
DATE = "2026-06-24T11:44:49.167312339Z"


def report(**fields):
    print(json.dumps(fields), flush=True)


# --------------------------------------------------------------------------------------------- dresses

def everywhere(change):
    def dress(value):
        if isinstance(value, list):
            return [dress(inner) for inner in value]
        if isinstance(value, dict):
            return change({key: dress(inner) for key, inner in value.items()})
        return value
    return dress


NEEDED = {"type", "id", "cid", "channel", "channels", "channel_id", "channel_type", "user", "created_at", "me",
          "connection_id", "event", "events", "access_token", "user_id", "member", "message", "code"}
OPTIONAL = {"name", "image", "teams", "blocked_user_ids", "last_active", "devices", "mutes", "channel_mutes",
            "duration", "read", "threads", "messages", "pinned_messages", "config", "language"}


def bare(fields):
    """What a receiver cannot do without, and data; but none of what is optional."""
    return {key: value for key, value in fields.items() if key in NEEDED or key not in OPTIONAL}


def nulls(fields):
    return {key: None if key in OPTIONAL else value for key, value in fields.items()}


def extra(fields):
    return {"a_before": None, **fields, "of_tomorrow": {"list": [1, "x", None, {}]}, "z_after": []}


def backwards(fields):
    return dict(reversed(list(fields.items())))


def escaped(text):
    """The same JSON, with what may be escaped in data escaped."""
    return text.replace("/", "\\/")


DRESSES = {
    "plain": (lambda value: value, lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)),
    "bare": (everywhere(bare), json.dumps),
    "nulls": (everywhere(nulls), json.dumps),
    "extra": (everywhere(extra), json.dumps),
    "backwards": (everywhere(backwards), json.dumps),
    "spacious": (lambda value: value, lambda value: json.dumps(value, indent="\t").replace("\n", "\r\n")),
    "escaped": (lambda value: value, lambda value: escaped(json.dumps(value, ensure_ascii=True))),
}


# ---------------------------------------------------------------------------------------------- tokens

class Refusal(Exception):
    def __init__(self, code, status, message):
        super().__init__(message)
        self.envelope = {"code": code, "message": message, "StatusCode": status, "duration": "0.00ms",
                         "more_info": "https://getstream.io/chat/docs/api_errors_response", "details": []}


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token, lenient):
    parts = (token or "").split(".")
    if len(parts) != 3:
        raise Refusal(5, 401, "JWTAuth error: token contains an invalid number of segments")
    if json.loads(unpadded(parts[0])) != {"alg": "HS256", "typ": "JWT"}:
        raise Refusal(5, 401, "JWTAuth error: not HS256")
    claims = json.loads(unpadded(parts[1].rstrip("=")))
    if lenient:
        return claims
    if parts[2].lower() == "devtoken":
        raise Refusal(5, 401, "development tokens are not allowed for this application")
    signature = hmac.new(SECRET, (parts[0] + "." + parts[1]).encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(signature, unpadded(parts[2])):
        raise Refusal(43, 401, 'JWTAuth error: signature is not valid. Make sure the token is created using the '
                      'secret for API key "devkey"')
    now = time.time()
    if claims.get("exp", now + 1) <= now:
        raise Refusal(40, 401, "JWTAuth error: token is expired (exp)")
    if claims.get("nbf", now) > now:
        raise Refusal(41, 401, "JWTAuth error: token is not valid yet (nbf)")
    if claims.get("iat", now) > now:
        raise Refusal(42, 401, "JWTAuth error: token used before issue at (iat)")
    return claims


# ------------------------------------------------------------------------------------------------- app

class Connection:
    def __init__(self, user_id, socket, transport):
        self.id, self.user_id, self.watches = str(uuid.uuid4()), user_id, set()
        self.socket, self.transport = socket, transport


class App:
    def __init__(self):
        self.how, self.connections, self.users, self.members = {}, [], {}, {}

    def user(self, user_id):
        return self.users.setdefault(user_id, {
            "id": user_id, "language": "", "role": "user", "teams": [], "created_at": DATE, "updated_at": DATE,
            "banned": False, "online": True, "last_active": DATE, "blocked_user_ids": [], "name": "é/" + user_id})

    def text(self, value):
        change, dump = DRESSES[self.how.get("dress", "plain")]
        return dump(change(value))

    async def send(self, wanted, event):
        text = self.text(event)
        for connection in list(self.connections):
            if wanted(connection) and not connection.socket.closed:
                await connection.socket.send_str(text)

    def event(self, event_type, cid, user_id, **more):
        channel_type, channel_id = cid.split(":")
        return {"type": event_type, "cid": cid, "channel_id": channel_id, "channel_type": channel_type,
                "user": self.user(user_id), "created_at": DATE, **more}

    async def to_watchers(self, event):
        await self.send(lambda connection: event["cid"] in connection.watches, event)
        return event

    def member(self, user_id):
        return {"user_id": user_id, "user": self.user(user_id), "status": "member", "created_at": DATE,
                "updated_at": DATE, "banned": False, "shadow_banned": False, "role": "member",
                "channel_role": "channel_member", "notifications_muted": False}

    def view(self, cid):
        channel_type, channel_id = cid.split(":")
        watchers = {connection.user_id for connection in self.connections if cid in connection.watches}
        return {"channel": {
            "id": channel_id, "type": channel_type, "cid": cid, "created_at": DATE, "updated_at": DATE,
            "frozen": False, "disabled": False, "member_count": 2,
            "config": {"name": channel_type, "custom_events": True, "commands": []},
            "own_capabilities": ["send-custom-events", "read-events"]},
            "messages": [], "pinned_messages": [], "read": [], "threads": [], "watcher_count": len(watchers),
            "members": [self.member(user_id) for user_id in self.members.get(cid, [])]}

    def health(self, connection):
        return {"type": "health.check", "connection_id": connection.id, "cid": "*", "created_at": DATE}


class Hosted:
    def __init__(self):
        self.apps = {}

    def app(self, key):
        return self.apps.setdefault(key, App())

    # Connecting.

    async def connect(self, request):
        query, app = request.query, self.app(request.query["api_key"])
        if "status" in app.how:
            return web.Response(status=app.how["status"], text=app.how.get("text", ""))
        socket = web.WebSocketResponse(compress=True)
        await socket.prepare(request)
        asked = json.loads(query["json"])
        report(key=query["api_key"], call="GET /connect", user=asked["user_id"], asked=asked,
               token=query.get("authorization"))
        try:
            if "first" in app.how:
                await socket.send_str(app.how["first"])
                await socket.close(code=app.how.get("close", 1000))
                return socket
            if query["stream-auth-type"] != "anonymous":
                claims = claims_of(query.get("authorization"), app.how.get("developer"))
                if claims["user_id"] != asked["user_id"]:
                    raise Refusal(5, 401, 'Connect failed with error: "Token signature is invalid"')
        except Refusal as refusal:
            await socket.send_str(app.text({"type": "connection.error", "connection_id": "", "created_at": DATE,
                                            "error": {**refusal.envelope, "duration": "", "more_info": ""}}))
            await socket.close(code=1000)
            return socket
        connection = Connection(asked["user_id"], socket, request.transport)
        app.user(asked["user_id"]).update(asked["user_details"])
        app.connections.append(connection)
        me = {**app.user(asked["user_id"]), "devices": [], "invisible": False, "mutes": [], "channel_mutes": [],
              "unread_count": 0, "total_unread_count": 0, "unread_channels": 0, "unread_threads": 0}
        await socket.send_str(app.text({**app.health(connection), "me": me}))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                json.loads(message.data)
                await socket.send_str(app.text(app.health(connection)))
        app.connections.remove(connection)
        return socket

    # Calls.

    async def call(self, request):
        query, app = request.query, self.app(request.query["api_key"])
        claims, status = {}, 201
        body = await request.json() if request.can_read_body else {}
        try:
            if request.headers["stream-auth-type"] != "anonymous":
                claims = claims_of(request.headers.get("Authorization"), app.how.get("developer"))
            report(key=query["api_key"], call="%s %s" % (request.method, request.path), body=body,
                   user=claims.get("user_id"), connection=query.get("connection_id"))
            refuse = app.how.get("refuse", {}).get(request.path)
            if refuse and refuse.get("times", 1) > 0:
                refuse["times"] = refuse.get("times", 1) - 1
                return web.Response(status=refuse["status"], body=refuse.get("text", "").encode(),
                                    headers=refuse.get("head"))
            connection = next((one for one in app.connections if one.id == query.get("connection_id")), None)
            answer = await self.act(app, request, claims, connection, body)
        except Refusal as refusal:
            answer, status = refusal.envelope, refusal.envelope["StatusCode"]
        response = web.Response(status=status, text=app.text({**answer, "duration": "7.61ms"}),
                                content_type="application/json")
        if app.how.get("compress"):
            response.enable_compression(web.ContentCoding(app.how["compress"]))
        if app.how.get("chunked"):
            response.enable_chunked_encoding()
        return response

    async def act(self, app, request, claims, connection, body):
        parts, user_id = request.path.strip("/").split("/"), claims.get("user_id")
        if parts == ["guest"]:
            return self.guest(app, body["user"])
        if parts == ["users"]:
            for one in body["users"].values():
                app.user(one["id"]).update(one)
            return {"users": {one: app.user(one) for one in body["users"]}}
        if parts[0] == "users":
            if not claims.get("server"):
                raise Refusal(17, 403, "only a backend may")
            event = {**body["event"], "user": app.user(parts[1]), "created_at": DATE}
            await app.send(lambda one: one.user_id == parts[1], event)
            return {}
        if parts == ["sync"]:
            return {"events": []}
        if parts == ["channels"]:
            cids = body["filter_conditions"]["cid"]["$in"]
            connection.watches.update(cids)
            return {"channels": [app.view(cid) for cid in cids]}
        cid = ":".join(parts[1:3])
        if len(parts) == 3:
            return await self.change_members(app, cid, body)
        return await getattr(self, parts[3].replace("-", "_"))(app, cid, user_id, connection, body)

    def guest(self, app, user):
        user_id = "guest-1f-" + user["id"]
        payload = base64.urlsafe_b64encode(json.dumps({"user_id": user_id}).encode()).decode().rstrip("=")
        text = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=") + "." + payload
        signature = base64.urlsafe_b64encode(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())
        return {"user": {**app.user(user_id), **user, "id": user_id, "role": "guest"},
                "access_token": text + "." + signature.decode().rstrip("=")}

    async def change_members(self, app, cid, body):
        for user_id in body.get("add_members", []):
            app.members.setdefault(cid, []).append(user_id)
            await app.to_watchers(app.event("member.added", cid, user_id, member=app.member(user_id)))
        return {"channel": app.view(cid)["channel"], "members": app.view(cid)["members"]}

    async def query(self, app, cid, user_id, connection, body):
        for one in body.get("data", {}).get("members", []):
            app.members.setdefault(cid, []).append(one)
        if body.get("watch"):
            if connection is None:
                raise Refusal(46, 400, "connection id not found")
            connection.watches.add(cid)
            await app.to_watchers(app.event("user.watching.start", cid, user_id, watcher_count=1))
        return app.view(cid)

    async def stop_watching(self, app, cid, user_id, connection, body):
        connection.watches.discard(cid)
        return {}

    async def event(self, app, cid, user_id, connection, body):
        event = body["event"]
        user_id = user_id or event.pop("user_id", None) or event.pop("user")["id"]
        data = {key: value for key, value in event.items() if key != "type"}
        return {"event": await app.to_watchers(app.event(event["type"], cid, user_id, **data))}

    # What is told on standard input.

    async def listen(self):
        reader, loop = asyncio.StreamReader(limit=1 << 20), asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            app = self.app(command["key"])
            if "how" in command:
                app.how = command["how"]
            if command.get("drop"):
                for connection in app.connections:
                    connection.transport.abort()
            report(key=command["key"], told=True)


async def main():
    hosted, app = Hosted(), web.Application()
    app.router.add_get("/connect", hosted.connect)
    app.router.add_route("*", "/{path:.*}", hosted.call)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    report(port=runner.addresses[0][1])
    await hosted.listen()


asyncio.run(main())
