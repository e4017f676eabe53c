-- Migration 14. What was asked for, without secrets; events of an app, and of a time, without reading those of all others.
ALTER TABLE event ADD COLUMN detail TEXT NOT NULL DEFAULT '';
CREATE INDEX event_app ON event(app, id);
CREATE INDEX event_time ON event(time_us);
