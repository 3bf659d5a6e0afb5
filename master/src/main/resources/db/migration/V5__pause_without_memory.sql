-- Whether a sandbox that is paused at the end of its timeout keeps its memory.

ALTER TABLE sandboxes ADD COLUMN auto_pause_memory BOOLEAN NOT NULL DEFAULT TRUE;
