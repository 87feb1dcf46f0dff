-- The reference schema, and the one of organisation.py, which has more columns.

ALTER TABLE activities ADD COLUMN IF NOT EXISTS team_id VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS project_id VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS began VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS started_on VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS ended_at VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS out_of_sprint VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS category VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS automatable VARCHAR;
ALTER TABLE activities ADD COLUMN IF NOT EXISTS timezone VARCHAR;

CREATE TABLE team AS SELECT id AS team_id FROM teams;

CREATE TABLE person AS
SELECT id AS user_id, nullif(team_id, '') AS team_id, nullif(timezone, '') AS time_zone FROM users;

-- Only one of the mappings reads who was in which team when.
CREATE TABLE IF NOT EXISTS memberships (user_id VARCHAR, team_id VARCHAR, joined_on VARCHAR, left_on VARCHAR);
CREATE TABLE stay AS
SELECT user_id, team_id, joined_on::DATE AS first_day, left_on::DATE AS day_after
FROM memberships WHERE getvariable('source') = 'oracle-instants';

CREATE TABLE sprint AS
SELECT id AS sprint_id, nullif(team_id, '') AS team_id, starts_at::TIMESTAMPTZ AS starts_at,
       ends_at::TIMESTAMPTZ AS ends_at, nullif(released_at, '')::TIMESTAMPTZ AS released_at
FROM sprints;

CREATE TABLE stereotype AS
SELECT code, nullif(category, '') AS claimed_category, flag(automatable) AS claimed_automatable
FROM activity_stereotypes;

CREATE TABLE record AS
WITH placed AS (
    SELECT a.*, coalesce(nullif(a.timezone, ''), nullif(u.timezone, ''), getvariable('zone')) AS zone
    FROM activities a LEFT JOIN users u ON u.id = a.user_id),
asked AS (
    SELECT DISTINCT zone, coalesce(began, '1970-01-01')::TIMESTAMP AS began,
           coalesce(started_on, '1970-01-01')::DATE AS started_on
    FROM placed WHERE getvariable('source') IN ('oracle-local', 'oracle-days')),
resolved AS (
    SELECT zone, began, started_on, wall_clock(zone, began) AS by_clock, first_instant(zone, started_on) AS by_date
    FROM asked)
SELECT p.id AS activity_id, p.user_id, nullif(p.team_id, '') AS team_id, nullif(p.sprint_id, '') AS sprint_id,
       nullif(p.project_id, '') AS project_id, p.stereotype_code,
       CASE getvariable('source')
           WHEN 'oracle-local' THEN r.by_clock
           WHEN 'oracle-days' THEN r.by_date
           ELSE p.started_at::TIMESTAMPTZ END AS started_at,
       CASE WHEN getvariable('source') NOT IN ('oracle-local', 'oracle-days')
           THEN nullif(p.ended_at, '')::TIMESTAMPTZ END AS ended_at,
       p.duration::BIGINT AS duration, p.out_of_sprint::BIGINT AS split, flag(p.in_sprint) AS marked,
       nullif(p.category, '') AS claimed_category, flag(p.automatable) AS claimed_automatable,
       p.rating::BIGINT AS rating, p.zone, getvariable('source') <> 'oracle-days' AS exact
FROM placed p
LEFT JOIN resolved r ON r.zone = p.zone AND r.began = p.began::TIMESTAMP AND r.started_on = p.started_on::DATE;
