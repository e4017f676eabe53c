-- Migration 15. Volumes are made and removed in two steps, mounts and config change with a release: what a crash cut off is
-- undone at the next start.
ALTER TABLE volume ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;
ALTER TABLE volume_mount ADD COLUMN pending INTEGER NOT NULL DEFAULT 0; -- enum db_pending
ALTER TABLE app ADD COLUMN config_pending INTEGER NOT NULL DEFAULT 0; -- of berths before 2026-11-29, which stored a change before its release served; see control/recover.c
