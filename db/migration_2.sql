-- An instance that ended for good: its restart policy wants no other start in its place.
ALTER TABLE instance ADD COLUMN final INTEGER NOT NULL DEFAULT 0;
