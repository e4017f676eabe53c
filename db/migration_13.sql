-- Migration 13. config.value, release.config and login.password are sealed (db/secret.h); those that were there are sealed
-- by db/secret.c in the same transaction.
CREATE TABLE secret_key (
	id TEXT NOT NULL,                 -- which key they are sealed with; its only row
	swept INTEGER NOT NULL DEFAULT 0  -- 0: pages and copies of the time before are still to be removed
);
