-- Migration 21. Apps change their names: rename_to while the repository moves (control/deploy/rename.h). A former name leads to its
-- app until another one has it.
ALTER TABLE app ADD COLUMN rename_to TEXT NOT NULL DEFAULT '';
CREATE TABLE former_name (
	name TEXT PRIMARY KEY,
	app INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	until_us INTEGER NOT NULL
) WITHOUT ROWID;
-- Apps that are previews: what a branch of another one makes; its files lie in the parent's repository.
CREATE TABLE preview (
	app INTEGER PRIMARY KEY REFERENCES app(id) ON DELETE CASCADE,
	parent INTEGER NOT NULL REFERENCES app(id) ON DELETE CASCADE,
	branch TEXT NOT NULL,
	pushed_us INTEGER NOT NULL, -- last; expiry counts from then on
	UNIQUE (parent, branch)
) WITHOUT ROWID;
