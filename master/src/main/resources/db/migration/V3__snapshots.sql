-- Snapshots, and what becomes of a sandbox when its time is over.

CREATE TABLE snapshots (
    id            VARCHAR(20) NOT NULL PRIMARY KEY,
    sandbox_id    VARCHAR(20) NOT NULL,
    template_id   VARCHAR(20) NOT NULL REFERENCES templates (id),
    created_at    BIGINT      NOT NULL,
    durable       BOOLEAN     NOT NULL,
    written_bytes BIGINT,
    cpu_count     INTEGER     NOT NULL,
    memory_mib    INTEGER     NOT NULL,
    disk_mib      INTEGER     NOT NULL,
    environment   TEXT        NOT NULL
);

CREATE TABLE snapshot_names (
    name        VARCHAR(300) NOT NULL PRIMARY KEY,
    snapshot_id VARCHAR(20)  NOT NULL REFERENCES snapshots (id)
);

ALTER TABLE sandboxes ADD COLUMN timeout_millis BIGINT NOT NULL DEFAULT 300000;
ALTER TABLE sandboxes ADD COLUMN auto_resume BOOLEAN NOT NULL DEFAULT FALSE;
