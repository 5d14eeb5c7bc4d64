// node_first.js -- ends as soon as `ws` has handed out the first event.
// usage: node node_first.js URL
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[2], { perMessageDeflate: false });
socket.on("message", (data) => { if (JSON.parse(data).type === "position") process.exit(0); });
