// node_verifying.js -- a bare Node server: `http` takes an event, node:crypto verifies its token, `ws` sends it.
// usage: node node_verifying.js; prints its port, runs until it is killed
// Whoever connects is the one watcher; queries get an empty answer. Nothing else is checked.
const crypto = require("node:crypto");
const http = require("http");
const { WebSocketServer } = require("ws");

const SECRET = "lan-dev-secret";
const CONNECTION = "7b1d0c52-0a15-4c22-8200-00000000048f";
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
let watcher;

function verified(token) {
  const [header, payload, signature] = token.split(".");
  const expected = crypto.createHmac("sha256", SECRET).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !crypto.timingSafeEqual(given, expected)) return undefined;
  return JSON.parse(Buffer.from(payload, "base64url")).user_id;
}

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    const user = verified(request.headers.authorization);
    if (!user) { response.writeHead(401).end(); return; }
    let answer = "{}";
    if (request.url.includes("/event")) {
      const sent = JSON.parse(body).event;
      answer = JSON.stringify({ type: sent.type, cid: "messaging:bench", channel_id: "bench",
        channel_type: "messaging", user: { id: user, name: "Alice", language: "", role: "user", teams: [],
          created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z", banned: false, online: true,
          blocked_user_ids: [] }, created_at: new Date().toISOString(), ...sent });
      watcher.send(answer);
    }
    response.writeHead(201, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (client) => {
    watcher ??= client;
    client.send(JSON.stringify({ type: "health.check", connection_id: CONNECTION, cid: "*" }));
  });
});
server.keepAliveTimeout = 0; // the bench takes turns: a sender waits for its own
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
