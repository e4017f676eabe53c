-- Migration 10. What asked for a build: push rebuild.
ALTER TABLE build ADD COLUMN what TEXT NOT NULL DEFAULT 'push';
