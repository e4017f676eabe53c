// A page, a health check, and a clean end: SIGTERM finishes the requests under way.
"use strict";
const express = require("express");

const app = express();
app.get("/", (req, res) => res.send("Hello from node-express\n"));
app.get("/health", (req, res) => res.json({ ok: true, release: process.env.BERTH_RELEASE }));

const server = app.listen(process.env.PORT || 5000, () => console.log("node-express listens"));
process.on("SIGTERM", () => {
  console.log("node-express stops");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
