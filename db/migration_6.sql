-- Migration 6. Certificates of apps; the private key is the file control/certs/KEY_FILE, never a row.
CREATE TABLE certificate (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	name TEXT NOT NULL,        -- '': the one that berth got by itself (ACME)
	key_file TEXT NOT NULL UNIQUE,
	chain TEXT NOT NULL,       -- PEM
	names TEXT NOT NULL,       -- JSON array: DNS names in it
	from_us INTEGER NOT NULL,
	until_us INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	PRIMARY KEY (app, name)
) WITHOUT ROWID;
-- Apps with automatic certificates, and how the last try to get one ended.
CREATE TABLE acme (
	app INTEGER PRIMARY KEY REFERENCES app(id) ON DELETE CASCADE,
	forced INTEGER NOT NULL DEFAULT 0,   -- tls:renew: although none is due
	failures INTEGER NOT NULL DEFAULT 0, -- since the last success
	tried_us INTEGER NOT NULL DEFAULT 0,
	after_us INTEGER NOT NULL DEFAULT 0, -- not before that again
	error TEXT NOT NULL DEFAULT ''
);
-- Orders of the last days: authorities limit how many they take. They count on when the app is gone.
CREATE TABLE acme_order (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER NOT NULL,
	names TEXT NOT NULL, -- as in certificate, sorted
	time_us INTEGER NOT NULL,
	issued INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX acme_order_time ON acme_order(time_us);
