// Echoes WebSocket messages; a page to try it; SIGTERM closes every socket with 1001 ("going away").
"use strict";
const http = require("http");
const { WebSocketServer } = require("ws");

const page = `<!doctype html><meta charset="utf-8"><title>websocket-echo</title>
<h1>Hello from websocket-echo</h1><pre id="log"></pre>
<script>
const ws = new WebSocket(location.href.replace(/^http/, "ws"));
ws.onopen = () => ws.send("hello");
ws.onmessage = (e) => (document.getElementById("log").textContent += "echo: " + e.data + "\\n");
</script>
`;

const server = http.createServer((req, res) => {
  res.setHeader("Content-Type", "text/html; charset=utf-8");
  res.end(page);
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (ws) => {
  ws.on("message", (data, binary) => ws.send(data, { binary }));
  ws.on("error", (error) => console.log("socket:", error.message));
});
server.listen(process.env.PORT || 5000, () => console.log("websocket-echo listens"));
process.on("SIGTERM", () => {
  console.log("websocket-echo stops");
  for (const ws of sockets.clients) ws.close(1001, "restarting");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
