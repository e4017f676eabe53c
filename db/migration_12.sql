-- Migration 12. Network rules of an app's builds, beside those of its instances.
ALTER TABLE network_rule ADD COLUMN builds INTEGER NOT NULL DEFAULT 0;
DROP INDEX network_rule_target;
CREATE UNIQUE INDEX network_rule_target ON network_rule(app, builds, kind, target, ifnull(target_app, 0), protocol,
	first_port, last_port);
