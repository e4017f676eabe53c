-- Migration 9. Images by name, tagged or imported: they keep their layers, whatever becomes of apps and releases.
CREATE TABLE tag (
	name TEXT PRIMARY KEY,  -- NAME:TAG
	layers TEXT NOT NULL,   -- JSON array of layer ids, bottom first
	config TEXT NOT NULL,   -- JSON object: an OCI image configuration
	created_us INTEGER NOT NULL
) WITHOUT ROWID;
-- The `config` object of an OCI image configuration (Cmd, Entrypoint, User, WorkingDir, Env ...) of an image that brings
-- its own start; {}: its processes are commands for a shell in /app.
ALTER TABLE image ADD COLUMN config TEXT NOT NULL DEFAULT '{}';
ALTER TABLE layer ADD COLUMN digest TEXT NOT NULL DEFAULT ''; -- sha256:HEX of the layer as tar, once somebody asked
