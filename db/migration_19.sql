-- Migration 19. Volumes with a size, and mounts that only one process type has.
ALTER TABLE volume ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0; -- as asked for; 0: none
ALTER TABLE volume_mount ADD COLUMN type TEXT NOT NULL DEFAULT '';   -- '': all
