-- Migration 18. Who: members hold keys and tokens. What they may: a role an app, or for all apps and the host.
CREATE TABLE member (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	created_us INTEGER NOT NULL
);
CREATE TABLE access (
	member INTEGER NOT NULL REFERENCES member(id) ON DELETE CASCADE,
	app INTEGER NOT NULL,  -- 0: all apps and the host
	role INTEGER NOT NULL, -- enum role of db.h
	PRIMARY KEY (member, app)
) WITHOUT ROWID;
CREATE TABLE token (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	member INTEGER NOT NULL REFERENCES member(id) ON DELETE CASCADE,
	app INTEGER NOT NULL DEFAULT 0, -- 0: every app that its member has
	role INTEGER NOT NULL,          -- at most this one
	hash BLOB NOT NULL UNIQUE,      -- SHA-256; the token itself is nowhere
	created_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL DEFAULT 0, -- 0: never
	used_us INTEGER NOT NULL DEFAULT 0
);
-- The member that made it may mount it while no app does.
CREATE TABLE volume_maker (
	volume INTEGER PRIMARY KEY REFERENCES volume(id) ON DELETE CASCADE,
	member INTEGER NOT NULL REFERENCES member(id) ON DELETE CASCADE
);
CREATE TRIGGER access_of_app AFTER DELETE ON app BEGIN
	DELETE FROM access WHERE app = OLD.id;
	DELETE FROM token WHERE app = OLD.id;
END;
-- Until now a key was all there was, and it might do everything.
INSERT INTO member(name, created_us) SELECT name, min(created_us) FROM ssh_key GROUP BY name;
INSERT INTO access(member, app, role) SELECT id, 0, 4 FROM member;
ALTER TABLE ssh_key ADD COLUMN member INTEGER REFERENCES member(id) ON DELETE CASCADE;
UPDATE ssh_key SET member = (SELECT id FROM member WHERE member.name = ssh_key.name);
ALTER TABLE ssh_key DROP COLUMN name;
