-- Migration 17. Drains: where an app's log (app is NULL: all apps') is sent, too.
CREATE TABLE drain (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER REFERENCES app(id) ON DELETE CASCADE,
	url BLOB NOT NULL, -- sealed (db/secret.h): it may hold a password
	flags INTEGER NOT NULL DEFAULT 0, -- enum db_drain_flags
	ca TEXT NOT NULL DEFAULT '', -- PEM of the authorities that its receiver's certificate may be from; '': the host's
	created_us INTEGER NOT NULL
);
CREATE INDEX drain_app ON drain(app);
