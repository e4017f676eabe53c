-- Migration 23. Webhooks: who is told of what happens to an app (app is NULL: to all of them and to the host), and what is
-- told, until it has arrived and for a while after.
CREATE TABLE webhook (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER REFERENCES app(id) ON DELETE CASCADE,
	target BLOB NOT NULL,    -- sealed (db/secret.h) JSON: {url, secret}
	events INTEGER NOT NULL, -- enum db_hook_events
	local INTEGER NOT NULL,  -- root on the host named it: loopback, too
	created_us INTEGER NOT NULL
);
CREATE INDEX webhook_app ON webhook(app);
CREATE TABLE webhook_delivery (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	webhook INTEGER NOT NULL REFERENCES webhook(id) ON DELETE CASCADE,
	event TEXT NOT NULL,
	body TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	next_us INTEGER NOT NULL, -- not before that; 0: no more
	status INTEGER NOT NULL DEFAULT 0, -- of the last answer; 0: none came
	error TEXT NOT NULL DEFAULT '',    -- '' after 2xx, and before the first try
	done_us INTEGER NOT NULL DEFAULT 0 -- when it arrived, or was given up
);
CREATE INDEX webhook_delivery_of ON webhook_delivery(webhook, id);
CREATE INDEX webhook_delivery_next ON webhook_delivery(next_us) WHERE next_us > 0;
