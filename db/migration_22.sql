-- Migration 22. Scheduled tasks (app.json's cron) and their runs; what one-offs are.
CREATE TABLE cron_task (
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	task TEXT NOT NULL,                    -- hash of schedule and command
	suspended INTEGER NOT NULL DEFAULT 0,
	seen_us INTEGER NOT NULL DEFAULT 0,    -- all times up to then were seen to
	PRIMARY KEY (app, task)
) WITHOUT ROWID;
CREATE TABLE cron_run (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	task TEXT NOT NULL,
	command TEXT NOT NULL,
	why TEXT NOT NULL,                     -- schedule late manual
	actor TEXT NOT NULL,
	status TEXT NOT NULL,                  -- running succeeded failed skipped lost
	reason TEXT NOT NULL DEFAULT '',       -- of the end, as a person reads it
	ending TEXT NOT NULL DEFAULT '',       -- why berth ends it: timeout replaced stopped; '': it does not
	number INTEGER NOT NULL DEFAULT 0,     -- N of cron.N
	instance INTEGER NOT NULL DEFAULT 0,   -- its sandbox, while it runs
	version INTEGER NOT NULL DEFAULT 0,    -- release
	times INTEGER NOT NULL DEFAULT 1,      -- skipped: so often in a row
	due_us INTEGER NOT NULL,
	started_us INTEGER NOT NULL DEFAULT 0,
	ended_us INTEGER NOT NULL DEFAULT 0,
	limit_us INTEGER NOT NULL DEFAULT 0    -- when it is ended; 0: never
);
CREATE INDEX cron_run_task ON cron_run(app, task, id);
CREATE INDEX cron_run_running ON cron_run(instance) WHERE status = 'running';
ALTER TABLE instance ADD COLUMN command TEXT NOT NULL DEFAULT '';
ALTER TABLE instance ADD COLUMN actor TEXT NOT NULL DEFAULT ''; -- who asked
ALTER TABLE instance ADD COLUMN detached INTEGER NOT NULL DEFAULT 0;
