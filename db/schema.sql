-- Migration 1. Times are microseconds since 1970; ids are never reused (AUTOINCREMENT).
CREATE TABLE app (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	created_us INTEGER NOT NULL,
	deploy_branch TEXT NOT NULL DEFAULT '', -- '' until the first push of main or master
	locked INTEGER NOT NULL DEFAULT 0,
	stopped INTEGER NOT NULL DEFAULT 0,     -- ps:stop: keeps its release, runs nothing
	removing INTEGER NOT NULL DEFAULT 0,    -- apps:destroy has begun; start-up finishes it
	live_version INTEGER NOT NULL DEFAULT 0, -- the release that serves; the switch writes it: the commit point
	last_version INTEGER NOT NULL DEFAULT 0  -- highest number ever given
);
CREATE TABLE config (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (app, key)
) WITHOUT ROWID;
CREATE TABLE layer (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL,               -- stack toolchain deps source build
	key TEXT NOT NULL,                -- hex SHA-256 of everything the step could see
	app INTEGER NOT NULL DEFAULT 0,   -- 0: shared by all apps
	ready INTEGER NOT NULL DEFAULT 0, -- 0 while being made; start-up removes such layers
	meta TEXT NOT NULL DEFAULT '{}',  -- JSON: what the step said (the plan of a source layer, the name of a stack)
	size_bytes INTEGER NOT NULL DEFAULT 0,
	created_us INTEGER NOT NULL,
	used_us INTEGER NOT NULL
);
CREATE UNIQUE INDEX layer_key ON layer(kind, key) WHERE ready = 1;
CREATE TABLE image (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	layers TEXT NOT NULL,    -- JSON array of layer ids, bottom first
	processes TEXT NOT NULL, -- JSON object type -> command
	env TEXT NOT NULL,       -- JSON object: buildpack defaults
	pack TEXT NOT NULL,
	profile_d INTEGER NOT NULL DEFAULT 0,
	checks TEXT NOT NULL DEFAULT '{}', -- JSON: healthchecks, formation and scripts of app.json
	commit_id TEXT NOT NULL, -- 40 hex digits
	created_us INTEGER NOT NULL
);
CREATE TABLE release (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	version INTEGER NOT NULL,
	image INTEGER NOT NULL REFERENCES image(id),
	config TEXT NOT NULL,      -- JSON object: the config it ran with
	status TEXT NOT NULL,      -- pending live superseded failed
	description TEXT NOT NULL, -- "Deploy abc1234", "Set A", "Rollback to v3"
	actor TEXT NOT NULL,       -- who asked
	error TEXT NOT NULL DEFAULT '',
	created_us INTEGER NOT NULL,
	PRIMARY KEY (app, version)
) WITHOUT ROWID;
CREATE TABLE formation (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	type TEXT NOT NULL,
	quantity INTEGER NOT NULL,
	PRIMARY KEY (app, type)
) WITHOUT ROWID;
CREATE TABLE domain (
	name TEXT NOT NULL,
	app INTEGER NOT NULL, -- 0: global
	PRIMARY KEY (name, app)
) WITHOUT ROWID;
CREATE UNIQUE INDEX domain_of_app ON domain(name) WHERE app <> 0;
CREATE TABLE volume (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	created_us INTEGER NOT NULL
);
CREATE TABLE volume_mount (
	volume INTEGER NOT NULL REFERENCES volume(id),
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	path TEXT NOT NULL,
	read_only INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (app, path)
) WITHOUT ROWID;
CREATE TABLE resource (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	type TEXT NOT NULL, -- '' for every process type; 'build' for builds
	memory_bytes INTEGER NOT NULL DEFAULT 0, -- 0: the default
	cpu_millis INTEGER NOT NULL DEFAULT 0,
	pids INTEGER NOT NULL DEFAULT 0,
	scratch_bytes INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (app, type)
) WITHOUT ROWID;
CREATE TABLE setting (
	app INTEGER NOT NULL, -- 0: global
	topic TEXT NOT NULL,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (app, topic, key)
) WITHOUT ROWID;
CREATE TABLE instance (
	id INTEGER PRIMARY KEY AUTOINCREMENT, -- also the sandbox's id at berthd
	app INTEGER NOT NULL,
	kind TEXT NOT NULL,    -- app run build
	type TEXT NOT NULL,    -- web, worker, run, release, build
	number INTEGER NOT NULL,
	version INTEGER NOT NULL, -- release
	state TEXT NOT NULL,   -- starting running stopping exited
	restarts INTEGER NOT NULL DEFAULT 0,
	started_us INTEGER NOT NULL,
	exited_us INTEGER NOT NULL DEFAULT 0,
	reason TEXT NOT NULL DEFAULT '' -- of the exit, as a person reads it
);
CREATE INDEX instance_app ON instance(app, state);
CREATE TABLE build (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	commit_id TEXT NOT NULL,
	status TEXT NOT NULL, -- running succeeded failed cancelled
	version INTEGER NOT NULL DEFAULT 0,
	actor TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	finished_us INTEGER NOT NULL DEFAULT 0,
	output TEXT NOT NULL DEFAULT ''
);
CREATE TABLE ssh_key (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	type TEXT NOT NULL,
	blob TEXT NOT NULL UNIQUE,
	fingerprint TEXT NOT NULL,
	created_us INTEGER NOT NULL
);
CREATE TABLE event (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	time_us INTEGER NOT NULL,
	actor TEXT NOT NULL,
	what TEXT NOT NULL,
	app TEXT NOT NULL DEFAULT '',
	outcome TEXT NOT NULL
);
