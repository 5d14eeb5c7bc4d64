// A server over TLS that is not ours: Node's own HTTP/2, which offers HTTP/1.1 as well, and `ws` for
// WebSockets, which would compress them. secure.js CERTIFICATE KEY [h2|http/1.1]: what ALPN offers.
// Writes {"port":P}, and {"call":"POST /path","version":"2.0","agreed":PROTOCOL} for every request.
const fs = require("fs");
const http2 = require("http2");
const https = require("https");
const { WebSocketServer } = require("ws");

const [certificate, key, alpn] = process.argv.slice(2);
const DATE = "2026-06-24T11:44:49.167312339Z";
const ID = "7b1d0c52-0a15-4c22-8200-00000000048f";
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
const options = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key), allowHTTP1: true };

function report(fields) {
  process.stdout.write(JSON.stringify(fields) + "\n");
}

function user(id) {
  return { id, language: "", role: "user", teams: [], created_at: DATE, updated_at: DATE, banned: false, online: true,
    blocked_user_ids: [] };
}

function answer(path, body, user_id) {
  const [, , type, id, action] = path.split("/");
  const cid = `${type}:${id}`;
  if (action === "query") {
    return { channel: { type, id, cid, config: { custom_events: true }, own_capabilities: ["send-custom-events"] },
      members: [], messages: [], watcher_count: 1, duration: "1ms" };
  }
  const event = { ...body.event, cid, channel_id: id, channel_type: type, user: user(user_id), created_at: DATE };
  const text = JSON.stringify(event);
  sockets.clients.forEach((socket) => socket.send(text));
  return { event, duration: "1ms" };
}

function serve(request, response) {
  const url = new URL(request.url, "https://localhost");
  report({ call: `${request.method} ${url.pathname}`, version: request.httpVersion,
    agreed: request.socket.alpnProtocol || request.stream?.session.alpnProtocol });
  let text = "";
  request.on("data", (part) => { text += part; });
  request.on("end", () => {
    response.writeHead(201, { "content-type": "application/json", "x-ratelimit-remaining": "59" });
    response.end(JSON.stringify(answer(url.pathname, JSON.parse(text), url.searchParams.get("user_id"))));
  });
}

const server = alpn === "h2" ? http2.createSecureServer(options, serve)
  : https.createServer({ ...options, ALPNProtocols: [alpn] }, serve);
server.on("upgrade", (request, socket, head) => {
  const url = new URL(request.url, "https://localhost");
  report({ call: `GET ${url.pathname}`, version: request.httpVersion, agreed: socket.alpnProtocol,
    extensions: request.headers["sec-websocket-extensions"] || "" });
  sockets.handleUpgrade(request, socket, head, (opened) => {
    const me = user(JSON.parse(url.searchParams.get("json")).user_id);
    opened.send(JSON.stringify({ type: "health.check", connection_id: ID, cid: "*", created_at: DATE, me }));
  });
});
server.listen(0, "127.0.0.1", () => report({ port: server.address().port }));
