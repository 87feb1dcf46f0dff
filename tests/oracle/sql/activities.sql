-- What lands in the lake, its team, sprint and day (docs/mappings.md), and its category (classify).

-- Whose stays in teams are known has the team of the stay that holds on the day and began last, or none.
CREATE TABLE stayed AS
SELECT r.activity_id, arg_max(s.team_id, coalesce(s.first_day, DATE '0001-01-01')) AS team_id
FROM record r JOIN stay s ON s.user_id = r.user_id
WHERE coalesce(s.first_day <= local_day(r.zone, r.started_at), true)
  AND coalesce(local_day(r.zone, r.started_at) < s.day_after, true)
GROUP BY r.activity_id;

CREATE TABLE complete AS
SELECT r.* REPLACE (coalesce(r.ended_at, r.started_at + to_seconds(r.duration)) AS ended_at,
                    coalesce(r.duration, date_diff('microsecond', r.started_at, r.ended_at) // 1000000) AS duration,
                    coalesce(r.team_id, CASE WHEN r.user_id IN (SELECT user_id FROM stay) THEN i.team_id
                                             ELSE p.team_id END) AS team_id,
                    CASE WHEN getvariable('sprint_rule') <> 'calendar' THEN r.sprint_id END AS sprint_id,
                    coalesce(r.claimed_category, s.claimed_category) AS claimed_category,
                    coalesce(r.claimed_automatable, s.claimed_automatable) AS claimed_automatable)
FROM record r
JOIN person p USING (user_id)
LEFT JOIN stayed i USING (activity_id)
JOIN stereotype s ON s.code = r.stereotype_code;

-- Neither open nor in quarantine.
CREATE TABLE landed AS
SELECT * FROM complete
WHERE started_at IS NOT NULL AND duration >= 0 AND ended_at >= started_at
  AND coalesce(split BETWEEN 0 AND duration, true)
  AND (team_id IS NULL OR team_id IN (FROM team))
  AND (sprint_id IS NULL OR sprint_id IN (SELECT sprint_id FROM sprint));

-- The sprint of its team that contains its start; of several the one that starts last.
CREATE TABLE by_calendar AS
SELECT l.activity_id, arg_max(s.sprint_id, s.starts_at) AS sprint_id
FROM landed l JOIN sprint s ON s.team_id = l.team_id AND s.starts_at <= l.started_at AND l.started_at < s.ends_at
WHERE getvariable('sprint_rule') <> 'explicit'
GROUP BY l.activity_id;

CREATE TABLE activity AS
WITH linked AS (
    SELECT l.* REPLACE (coalesce(l.sprint_id, c.sprint_id) AS sprint_id), local_day(l.zone, l.started_at) AS day
    FROM landed l LEFT JOIN by_calendar c USING (activity_id)),
classified AS (
    SELECT l.*, s.starts_at, s.ends_at, s.released_at, s.sprint_id IS NOT NULL AS in_a_sprint,
           coalesce(k.category, CASE WHEN l.claimed_category IN (FROM categories) THEN l.claimed_category END) AS known,
           coalesce(k.automatable, l.claimed_automatable) AS automatable
    FROM linked l
    LEFT JOIN sprint s ON s.sprint_id = l.sprint_id
    LEFT JOIN classification k ON k.code = l.stereotype_code)
SELECT * EXCLUDE (known, claimed_category, claimed_automatable), coalesce(known, 'other') AS category,
       known IS NOT NULL AS classified, coalesce(known, 'other') <> 'pto' AS is_work
FROM classified;

-- Every local day that a sprint touches, in the organisation's zone: [first_day, day_after).
CREATE TABLE sprint_days AS
SELECT sprint_id, team_id, local_day(getvariable('zone'), starts_at) AS first_day,
       local_day(getvariable('zone'), ends_at - INTERVAL 1 MICROSECOND) + 1 AS day_after
FROM sprint WHERE starts_at < ends_at;

-- Days of grace after the sprint's first: planning is late from the day after them on. Also that of a sprint which ends
-- when it starts: it is late from then on, not before.
CREATE TABLE planning_line AS
SELECT sprint_id,
       first_instant(getvariable('zone'),
                     local_day(getvariable('zone'), starts_at) + getvariable('grace_days')::INTEGER) AS planning_line
FROM sprint;
