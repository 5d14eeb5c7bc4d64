// node_server.js -- the usual Node broadcaster: `http` takes the events, `ws` hands them out.
// usage: node node_server.js; prints its port, runs until it is killed
const http = require("http");
const { WebSocketServer } = require("ws");

const user = { id: "bench-sender", name: "Alice", language: "", role: "user", teams: [],
  created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z", banned: false, online: true,
  blocked_user_ids: [] };
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    const sent = JSON.parse(body).event;
    const event = JSON.stringify({ type: sent.type, cid: "livestream:bench", channel_id: "bench",
      channel_type: "livestream", user, created_at: new Date().toISOString(), ...sent });
    for (const socket of sockets.clients) socket.send(event);
    response.writeHead(201, { "Content-Type": "application/json" });
    response.end(event);
  });
});
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (client) => sockets.emit("connection", client, request));
});
server.keepAliveTimeout = 0; // the bench takes turns: a sender waits for its own
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
