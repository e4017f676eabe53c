-- Migration 7. An app's domains are found without reading those of all others.
CREATE INDEX domain_app ON domain(app, name);
