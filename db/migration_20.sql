-- Migration 20. The move of a branch that each app's newest push is for: a git that is killed after the switch has not done it.
CREATE TABLE pushed (
	app INTEGER PRIMARY KEY REFERENCES app(id) ON DELETE CASCADE,
	version INTEGER NOT NULL, -- the release of that push, once it is made
	ref TEXT NOT NULL,
	old TEXT NOT NULL,        -- object ids; old is all zeros when the ref was not there
	new TEXT NOT NULL
);
