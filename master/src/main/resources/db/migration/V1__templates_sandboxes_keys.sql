-- Plain SQL types, as PostgreSQL has them too. Times are milliseconds since 1970 UTC; lists and maps are JSON texts.

CREATE TABLE templates (
    id             VARCHAR(20) NOT NULL PRIMARY KEY,
    state          VARCHAR(16) NOT NULL,
    image          TEXT        NOT NULL,
    cpu_count      INTEGER     NOT NULL,
    memory_mib     INTEGER     NOT NULL,
    disk_bytes     BIGINT      NOT NULL,
    exposed_ports  TEXT        NOT NULL,
    probe_port     INTEGER,
    wanted_aliases TEXT        NOT NULL,
    created_at     BIGINT      NOT NULL,
    updated_at     BIGINT      NOT NULL,
    job_id         VARCHAR(20) NOT NULL,
    reason         TEXT        NOT NULL,
    spawn_count    BIGINT      NOT NULL
);

CREATE TABLE template_aliases (
    alias       VARCHAR(128) NOT NULL PRIMARY KEY,
    template_id VARCHAR(20)  NOT NULL REFERENCES templates (id)
);

CREATE TABLE template_log (
    template_id VARCHAR(20) NOT NULL REFERENCES templates (id),
    line        INTEGER     NOT NULL,
    text        TEXT        NOT NULL,
    PRIMARY KEY (template_id, line)
);

CREATE TABLE sandboxes (
    id                    VARCHAR(20) NOT NULL PRIMARY KEY,
    template_id           VARCHAR(20) NOT NULL REFERENCES templates (id),
    state                 VARCHAR(16) NOT NULL,
    vm_id                 VARCHAR(64),
    identified            BOOLEAN     NOT NULL,
    started_at            BIGINT      NOT NULL,
    end_at                BIGINT      NOT NULL,
    cpu_count             INTEGER     NOT NULL,
    memory_mib            INTEGER     NOT NULL,
    disk_mib              INTEGER     NOT NULL,
    metadata              TEXT        NOT NULL,
    environment           TEXT        NOT NULL,
    access_token          VARCHAR(64),
    auto_pause            BOOLEAN     NOT NULL,
    allow_internet_access BOOLEAN     NOT NULL
);

CREATE TABLE api_keys (
    id         VARCHAR(20)  NOT NULL PRIMARY KEY,
    name       VARCHAR(128) NOT NULL,
    hash       CHAR(64)     NOT NULL UNIQUE,
    hint       VARCHAR(16)  NOT NULL,
    created_at BIGINT       NOT NULL
);
