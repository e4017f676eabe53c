-- Migration 24. An event is an app's, whatever that is called then, and whoever has had its name before or has it next.
ALTER TABLE event ADD COLUMN of_app INTEGER; -- the id of the app; NULL: of none, or of one that was not there. Ids are never used again
UPDATE event SET of_app=(SELECT id FROM app WHERE name=event.app AND created_us<=event.time_us);
CREATE INDEX event_of ON event(of_app, id);
