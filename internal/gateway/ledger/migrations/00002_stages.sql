-- One text for SQLite and PostgreSQL. What is new has a default, so that gateways of before this can go on writing while they are replaced.

-- +goose Up
-- SQLite cannot change what is UNIQUE.
CREATE TABLE staged_series (
    id              BIGINT PRIMARY KEY,
    app             TEXT   NOT NULL,
    channel         TEXT   NOT NULL,
    digest          TEXT   NOT NULL, -- empty: the bundle that the app was installed with
    version         TEXT   NOT NULL,
    arm             TEXT   NOT NULL, -- candidate, control or empty
    trial           TEXT   NOT NULL, -- salt of the trial
    stage           BIGINT NOT NULL DEFAULT 0, -- of the trial; 0: of before there were stages, or without a trial
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
    returned        BIGINT NOT NULL DEFAULT 0,
    failed_once     BIGINT NOT NULL DEFAULT 0, -- also those whose failure was made good
    UNIQUE (app, channel, digest, trial, stage, arm)
);
INSERT INTO staged_series (id, app, channel, digest, version, arm, trial, candidate, release, created_at, served_at, tracked,
    exposed, offered, downloaded, installed, confirmed, failed, delivery_failed)
  SELECT id, app, channel, digest, version, arm, trial, candidate, release, created_at, served_at, tracked,
    exposed, offered, downloaded, installed, confirmed, failed, delivery_failed FROM series;
DROP TABLE series;
ALTER TABLE staged_series RENAME TO series;

ALTER TABLE votes ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0; -- last check, until the device had returned
-- As it was told with the first check; empty: not told, or before this.
ALTER TABLE votes ADD COLUMN first_native_version TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN first_os_version TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN first_region TEXT NOT NULL DEFAULT '';
-- First check while it ran, by an earlier vote and since it failed last by those; 0: there is none.
ALTER TABLE votes ADD COLUMN ran_since BIGINT NOT NULL DEFAULT 0;
CREATE INDEX votes_of_series ON votes (series_id);

UPDATE series SET failed_once = (SELECT COUNT(*) FROM votes WHERE votes.series_id = series.id AND voting = 1 AND failed_at > 0);
