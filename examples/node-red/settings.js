// Flows and credentials live in the volume at /data; without one they are gone with the instance.
"use strict";
const fs = require("fs");

const writable = () => {
  try {
    fs.accessSync("/data", fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

module.exports = {
  uiPort: process.env.PORT || 5000,
  uiHost: "0.0.0.0",
  userDir: writable() ? "/data" : "/tmp/node-red",
  flowFile: "flows.json",
  credentialSecret: process.env.NODE_RED_CREDENTIAL_SECRET || false,
  diagnostics: { enabled: false },
  logging: { console: { level: "info", metrics: false, audit: false } },
};
