-- The CESAW time log as cesaw/load.py keeps it: no table of people, times in UTC, an interruption is out of sprint.

CREATE TABLE team AS SELECT team_key AS team_id FROM teams;

-- Whoever is named is known.
CREATE TABLE person AS
SELECT DISTINCT person_key AS user_id, NULL::VARCHAR AS team_id, NULL::VARCHAR AS time_zone FROM time_log;

CREATE TABLE stay (user_id VARCHAR, team_id VARCHAR, first_day DATE, day_after DATE);

CREATE TABLE sprint AS
SELECT id AS sprint_id, team_key AS team_id, starts_on::TIMESTAMPTZ AS starts_at, ends_on::TIMESTAMPTZ AS ends_at,
       NULL::TIMESTAMPTZ AS released_at
FROM sprints;

CREATE TABLE stereotype AS
SELECT code, nullif(category, '') AS claimed_category, flag(automatable) AS claimed_automatable FROM stereotypes;

CREATE TABLE record AS
WITH timed AS (
    SELECT *, try_strptime(time_log_start_date, '%m/%d/%Y %H:%M') AS start,
           try_strptime(time_log_end_date, '%m/%d/%Y %H:%M') AS stop
    FROM time_log)
SELECT time_log_fact_key AS activity_id, person_key AS user_id, team_key AS team_id, NULL::VARCHAR AS sprint_id,
       nullif(project_key, '') AS project_id, phase_short_name AS stereotype_code,
       -- A row with an impossible date is not taken, even if the other date is good.
       CASE WHEN year(stop) BETWEEN 1970 AND 2100 THEN start::TIMESTAMPTZ END AS started_at,
       stop::TIMESTAMPTZ AS ended_at,
       60 * (time_log_delta_minutes::BIGINT + time_log_interrupt_minutes::BIGINT) AS duration,
       60 * time_log_interrupt_minutes::BIGINT AS split, NULL::BOOLEAN AS marked,
       NULL::VARCHAR AS claimed_category, NULL::BOOLEAN AS claimed_automatable, NULL::BIGINT AS rating,
       getvariable('zone') AS zone, true AS exact
FROM timed;
