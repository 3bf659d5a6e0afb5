-- What was logged and measured of sandboxes, also of some that have ended: one JSON text for each.

CREATE TABLE sandbox_logs (
    sandbox_id VARCHAR(20) NOT NULL PRIMARY KEY,
    content    TEXT        NOT NULL
);

CREATE TABLE sandbox_metrics (
    sandbox_id VARCHAR(20) NOT NULL PRIMARY KEY,
    content    TEXT        NOT NULL
);
