-- Migration 11. Logins at registries of images, as config values are kept: only control reads this file.
CREATE TABLE login (
	host TEXT PRIMARY KEY, -- HOST[:PORT]
	user TEXT NOT NULL,
	password TEXT NOT NULL,
	created_us INTEGER NOT NULL
) WITHOUT ROWID;
-- The layer as it was last compressed, so that a registry that has it is not sent it again: sha256:HEX and bytes.
ALTER TABLE layer ADD COLUMN blob TEXT NOT NULL DEFAULT '';
ALTER TABLE layer ADD COLUMN blob_size INTEGER NOT NULL DEFAULT 0;
