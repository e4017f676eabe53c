-- Migration 15. Volumes are made and removed in two steps, mounts and config change with a release: what a crash cut off is
-- undone at the next start.
ALTER TABLE volume ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;
ALTER TABLE volume_mount ADD COLUMN pending INTEGER NOT NULL DEFAULT 0; -- enum db_pending
ALTER TABLE app ADD COLUMN config_pending INTEGER NOT NULL DEFAULT 0; -- not used any more
