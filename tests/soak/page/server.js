// What the page of tests/soak/browser asks: echoes, streams, numbered events, WebSockets (npm's ws). Needs the
// package.json of examples/websocket-echo.
"use strict";
const fs = require("fs");
const http = require("http");
const { randomUUID } = require("crypto");
const { WebSocketServer } = require("ws");

const release = process.env.BERTH_RELEASE;
const start = randomUUID();
const page = fs.readFileSync("page.html");
let closed = ""; // how the last WebSocket was closed by its client
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function stream(req, res) {
  for (let n = 0; n < 10; n++) {
    res.write(`part ${n}\n`);
    await pause(100);
  }
  res.end();
}

// Numbered after Last-Event-ID, without end.
async function events(req, res) {
  res.setHeader("Content-Type", "text/event-stream");
  res.write("retry: 200\n\n");
  const last = req.headers["last-event-id"] || "none";
  res.write(`event: begin\ndata: ${start} ${last}\n\n`);
  for (let n = 1 + Number(last === "none" ? 0 : last); !res.destroyed; n++) {
    res.write(`id: ${n}\ndata: ${n}\n\n`);
    await pause(50);
  }
}

async function echo(req, res) {
  const parts = [];
  for await (const part of req) parts.push(part);
  res.end(Buffer.concat(parts));
}

const routes = {
  "/": (req, res) => res.setHeader("Content-Type", "text/html; charset=utf-8").end(page),
  "/release": (req, res) => res.end(release),
  "/closed": (req, res) => res.end(closed),
  "/stream": stream,
  "/events": events,
  "/echo": echo,
};
const server = http.createServer((req, res) => (routes[req.url] || ((_, r) => r.writeHead(404).end()))(req, res));

// "ping" is answered with a ping, its pong with "pong"; "close CODE REASON" closes; all else comes back.
function talk(ws) {
  ws.send(`release ${release}`);
  ws.on("pong", (data) => ws.send(`pong ${data}`));
  ws.on("close", (code, reason) => (closed = `${code} ${reason}`));
  ws.on("error", (error) => console.log("socket:", error.message));
  ws.on("message", (data, binary) => {
    const [word, code, reason] = binary ? [] : String(data).split(" ");
    if (word === "ping") ws.ping("hello");
    else if (word === "close") ws.close(Number(code), reason);
    else ws.send(data, { binary });
  });
}
const sockets = new WebSocketServer({ server });
sockets.on("connection", talk);
server.listen(process.env.PORT);
process.on("SIGTERM", () => {
  for (const ws of sockets.clients) ws.close(1001, "restarting");
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
