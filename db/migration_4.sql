-- Apps that sleep: their web processes are stopped or frozen until somebody asks.
ALTER TABLE app ADD COLUMN asleep INTEGER NOT NULL DEFAULT 0;    -- enum db_asleep; written before it is done
ALTER TABLE app ADD COLUMN asleep_us INTEGER NOT NULL DEFAULT 0; -- since when
ALTER TABLE app ADD COLUMN asleep_why TEXT NOT NULL DEFAULT '';  -- as a person reads it
