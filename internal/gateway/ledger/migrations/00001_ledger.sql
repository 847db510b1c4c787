-- One text for SQLite and PostgreSQL. Times are Unix milliseconds, and 0 is never. docs/ledger.md explains the tables.

-- +goose Up
CREATE TABLE meta (
    one             SMALLINT PRIMARY KEY CHECK (one = 1),
    id              TEXT     NOT NULL, -- of this database
    created_at      BIGINT   NOT NULL,
    key_fingerprint TEXT     NOT NULL, -- of the key that the pseudonyms were made with
    ready_time      BIGINT   NOT NULL, -- in milliseconds: the rules by which the counts in series were made
    heal_window     BIGINT   NOT NULL,
    seq             BIGINT   NOT NULL  -- last number given to a change, a series or a session
);

CREATE TABLE series (
    id              BIGINT PRIMARY KEY,
    app             TEXT   NOT NULL,
    channel         TEXT   NOT NULL,
    digest          TEXT   NOT NULL, -- empty: the bundle that the app was installed with
    version         TEXT   NOT NULL,
    arm             TEXT   NOT NULL, -- candidate, control or empty
    trial           TEXT   NOT NULL, -- salt of the trial
    candidate       TEXT   NOT NULL, -- digest of the trial's candidate
    release         BIGINT NOT NULL, -- of the trial's Rollout
    created_at      BIGINT NOT NULL,
    served_at       BIGINT NOT NULL, -- last write of a vote
    tracked         BIGINT NOT NULL, -- rows in votes; the columns below count those with voting = 1
    exposed         BIGINT NOT NULL,
    offered         BIGINT NOT NULL,
    downloaded      BIGINT NOT NULL,
    installed       BIGINT NOT NULL,
    confirmed       BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    delivery_failed BIGINT NOT NULL,
    UNIQUE (app, channel, digest, trial, arm)
);

CREATE TABLE votes (
    device             BYTEA    NOT NULL, -- pseudonym
    series_id          BIGINT   NOT NULL,
    voting             SMALLINT NOT NULL,
    exposed_at         BIGINT   NOT NULL, -- first check
    offered_at         BIGINT   NOT NULL, -- last
    answered_at        BIGINT   NOT NULL, -- last
    downloaded_at      BIGINT   NOT NULL, -- first
    installed_at       BIGINT   NOT NULL, -- first
    first_seen_at      BIGINT   NOT NULL, -- first check while it ran
    seen_at            BIGINT   NOT NULL, -- last
    ready_at           BIGINT   NOT NULL, -- last word of the app that it is well; by the device's clock, as is failed_at
    failed_at          BIGINT   NOT NULL, -- last
    failed_kind        TEXT     NOT NULL,
    failure_heard_at   BIGINT   NOT NULL, -- when that failure came in first
    recovered_at       BIGINT   NOT NULL, -- first word after failed_at that it is well; by the device's clock
    proven_at          BIGINT   NOT NULL, -- first check after failure_heard_at that proves it
    barred             SMALLINT NOT NULL, -- not to be offered again
    delivery_failed_at BIGINT   NOT NULL, -- last
    delivery_kind      TEXT     NOT NULL,
    platform           TEXT     NOT NULL,
    native_version     TEXT     NOT NULL,
    plugin             TEXT     NOT NULL,
    client_at          BIGINT   NOT NULL, -- when the three above were told last
    updated_at         BIGINT   NOT NULL,
    PRIMARY KEY (device, series_id)
);

CREATE TABLE failures (
    device BYTEA  NOT NULL,
    digest TEXT   NOT NULL, -- not offered to the device again
    at     BIGINT NOT NULL,
    lifted SMALLINT NOT NULL, -- it was made good; kept for a while so that all replicas hear of it
    seq    BIGINT NOT NULL UNIQUE,
    PRIMARY KEY (device, digest)
);

CREATE TABLE overrides (
    device  BYTEA  NOT NULL PRIMARY KEY,
    app     TEXT   NOT NULL,
    channel TEXT   NOT NULL, -- empty: deleted, kept for a while so that all replicas hear of it
    at      BIGINT NOT NULL,
    seq     BIGINT NOT NULL UNIQUE
);

CREATE TABLE sessions (
    id         BIGINT   PRIMARY KEY,
    replica    TEXT     NOT NULL,
    started_at BIGINT   NOT NULL,
    beat       BIGINT   NOT NULL, -- grows while the replica lives
    ended_at   BIGINT   NOT NULL,
    unclean    SMALLINT NOT NULL  -- it ended without a word: what it had not written is lost
);
