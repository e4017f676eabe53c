-- Migration 8. A release that runs beside the live one, for a share of the app's new clients.
ALTER TABLE app ADD COLUMN canary_version INTEGER NOT NULL DEFAULT 0; -- 0: none; the switch ends it
ALTER TABLE app ADD COLUMN canary_percent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app ADD COLUMN canary_key INTEGER NOT NULL DEFAULT 0;     -- of its cookies; each canary has another
