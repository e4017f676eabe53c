-- What an app's instances may reach.
CREATE TABLE network_rule (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	allow INTEGER NOT NULL,
	kind TEXT NOT NULL,       -- app address host internet
	target TEXT NOT NULL,     -- an address or range, a host name; else ''
	target_app INTEGER REFERENCES app(id) ON DELETE CASCADE, -- of kind app
	protocol INTEGER NOT NULL,   -- as IP numbers them; 0: all
	first_port INTEGER NOT NULL, -- 0: all
	last_port INTEGER NOT NULL
);
-- A rule is its target: deciding otherwise replaces it.
CREATE UNIQUE INDEX network_rule_target ON network_rule(app, kind, target, ifnull(target_app, 0), protocol, first_port,
	last_port);
CREATE INDEX network_rule_app ON network_rule(target_app) WHERE target_app IS NOT NULL;
-- The address at which other apps find the instances of one process type of an app: its number in berth's range.
CREATE TABLE network_name (
	number INTEGER PRIMARY KEY,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	type TEXT NOT NULL,
	UNIQUE (app, type)
);
-- What the host names of rules were resolved to.
CREATE TABLE network_address (
	host TEXT NOT NULL,
	address TEXT NOT NULL,
	seen_us INTEGER NOT NULL, -- last among the answers
	PRIMARY KEY (host, address)
) WITHOUT ROWID;
