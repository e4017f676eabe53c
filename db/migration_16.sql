-- What volumes were before. A row is made before its snapshot and goes before it; ready: it is on disk.
-- release: the data as they were when this release of the app was replaced by the next one; 0: of none.
CREATE TABLE snapshot (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	volume INTEGER NOT NULL REFERENCES volume(id) ON DELETE CASCADE,
	app INTEGER REFERENCES app(id) ON DELETE SET NULL,
	release INTEGER NOT NULL DEFAULT 0,
	created_us INTEGER NOT NULL,
	why TEXT NOT NULL, -- manual, release, rollback, restore, import, export
	message TEXT NOT NULL DEFAULT '',
	files INTEGER NOT NULL DEFAULT 0,
	bytes INTEGER NOT NULL DEFAULT 0,
	added_bytes INTEGER NOT NULL DEFAULT 0,
	pause_us INTEGER NOT NULL DEFAULT 0,
	ready INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX snapshot_volume ON snapshot(volume, id);
-- keep: how many of the newest stay; keep_days: and those younger than that.
-- undo: a restore is under way, and what interrupts it gives back this snapshot.
CREATE TABLE volume_snapshots (
	volume INTEGER PRIMARY KEY REFERENCES volume(id) ON DELETE CASCADE,
	keep INTEGER NOT NULL DEFAULT 10,
	keep_days INTEGER NOT NULL DEFAULT 0,
	automatic INTEGER NOT NULL DEFAULT 1,
	undo INTEGER NOT NULL DEFAULT 0
);
