// node_client.js -- the usual Node client: `ws`, JSON.parse, handlers by type.
// usage: node node_client.js URL wanted|none
const WebSocket = require("ws");

const handlers = new Map();
let count = 0, sum = 0;
if (process.argv[3] === "wanted") {
  handlers.set("position", (event) => { count++; sum += event.x; });
}
const socket = new WebSocket(process.argv[2], { perMessageDeflate: false });
handlers.set("bench.done", () => {
  console.error(count, sum);
  socket.terminate(); // the sender knows no closing handshake
});
socket.on("message", (data) => {
  const event = JSON.parse(data);
  const handler = handlers.get(event.type);
  if (handler) handler(event);
});
