// A client as specs drive it: Node's `ws` for WebSockets, its own fetch for HTTP. Commands and reports
// are those of driver.py.
const readline = require("readline");
const WebSocket = require("ws");

const sockets = new Map();

function report(fields) {
  process.stdout.write(JSON.stringify(fields) + "\n");
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function open({ socket: name, url, headers }) {
  const socket = new WebSocket(url, { headers }); // offers permessage-deflate, as it does by itself
  sockets.set(name, socket);
  let opened = false;
  socket.on("open", () => {
    opened = true;
    report({ socket: name, opened: true, extensions: socket.extensions });
  });
  socket.on("message", (data) => {
    const text = data.toString();
    report({ socket: name, frame: parsed(text), text });
  });
  socket.on("pong", () => report({ socket: name, pong: true }));
  socket.on("close", (code) => { if (opened) report({ socket: name, closed: code }); });
  socket.on("error", (error) => { if (!opened) report({ socket: name, failed: error.message }); });
}

function send({ socket: name, text, fragments }) {
  const socket = sockets.get(name);
  if (!fragments) return socket.send(text);
  fragments.forEach((part, i) => socket.send(part, { fin: i === fragments.length - 1 }));
}

async function call({ id, method, url, headers, body }) {
  const answer = await fetch(url, { method, headers, body });
  const text = await answer.text();
  report({ id, status: answer.status, headers: Object.fromEntries(answer.headers), body: parsed(text), text });
}

const commands = {
  open, send, call,
  ping: ({ socket }) => sockets.get(socket).ping("are you there"),
  close: ({ socket, code }) => sockets.get(socket).close(code),
};

readline.createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit());
