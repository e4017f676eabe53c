ALTER TABLE resource ADD COLUMN nofile INTEGER NOT NULL DEFAULT 0; -- 0: the default
ALTER TABLE resource ADD COLUMN io_read_bytes INTEGER NOT NULL DEFAULT 0; -- a second
ALTER TABLE resource ADD COLUMN io_write_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instance ADD COLUMN oom_kills INTEGER NOT NULL DEFAULT 0; -- its processes that the kernel killed
