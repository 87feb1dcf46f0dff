-- The figures of [from_day, to_day): whose rows there are, what they add up to, and what of it is in a sprint or day.

CREATE OR REPLACE TEMP TABLE selected AS
SELECT * FROM activity WHERE day >= getvariable('from_day')::DATE AND day < getvariable('to_day')::DATE;

CREATE OR REPLACE TEMP TABLE belongs AS
SELECT scope, activity_id FROM (
    SELECT 'org' AS scope, activity_id FROM selected
    UNION ALL SELECT 'team:' || team_id, activity_id FROM selected WHERE team_id IS NOT NULL
    UNION ALL SELECT 'sprint:' || sprint_id, activity_id FROM selected WHERE sprint_id IS NOT NULL
    UNION ALL SELECT 'person:' || user_id, activity_id FROM selected
    -- What of a team's or a person's work belongs to a sprint.
    UNION ALL SELECT 'team:' || team_id || chr(31) || sprint_id, activity_id FROM selected
    UNION ALL SELECT 'person:' || user_id || chr(31) || sprint_id, activity_id FROM selected)
SEMI JOIN asked USING (scope);

CREATE OR REPLACE TEMP TABLE total AS SELECT scope, count(*) AS rows FROM belongs GROUP BY scope;

-- Nobody names the category for any activity of the organisation: unknown, not absent.
CREATE OR REPLACE TEMP TABLE unknown AS
SELECT insight FROM (VALUES
    ('defect-investigation', ['defect_investigation', 'defect_fix']),
    ('defects-after-release', ['defect_investigation', 'defect_fix']),
    ('late-planning', ['planning']),
    ('ceremonies', ['ceremony', 'meeting'])) AS evidence (insight, categories)
WHERE NOT EXISTS (FROM selected WHERE list_contains(categories, category));

-- Whole, and by stereotype.
CREATE OR REPLACE TEMP TABLE figures AS
SELECT b.scope, f.figure, if(grouping(a.stereotype_code) = 0, a.stereotype_code, NULL) AS stereotype,
       count(*) FILTER (f.about) AS rows, count(DISTINCT a.user_id) FILTER (f.about) AS people,
       count(*) AS population, sum(a.duration)::BIGINT AS seconds, count(*) FILTER (f.tells) AS telling,
       count(*) FILTER (f.covered) AS covered,
       coalesce(sum(a.duration) FILTER (f.covered), 0)::BIGINT AS covered_seconds,
       coalesce(sum(f.numerator), 0)::BIGINT AS numerator, sum(f.denominator)::BIGINT AS denominator
FROM belongs b JOIN fact f USING (activity_id) JOIN selected a USING (activity_id)
GROUP BY GROUPING SETS ((b.scope, f.figure), (b.scope, f.figure, a.stereotype_code));

CREATE OR REPLACE TEMP TABLE parts AS
SELECT scope, figure, label, sum(value)::BIGINT AS value
FROM belongs JOIN part USING (activity_id) GROUP BY scope, figure, label;

-- Times between activities and kinds per person-day, for medians.
CREATE OR REPLACE TEMP TABLE spread AS
SELECT scope, 'gap_seconds' AS "column", gap_seconds AS value
FROM belongs JOIN switching USING (activity_id) WHERE gaps = 1
UNION ALL
SELECT scope, 'stereotypes_per_person_day', kinds FROM belongs JOIN switching USING (activity_id) WHERE person_days = 1;

-- Hours per sprint. A sprint without a team is every team's.
CREATE OR REPLACE TEMP TABLE sprint_in_range AS
SELECT *, first_day >= getvariable('from_day')::DATE AND day_after <= getvariable('to_day')::DATE AS complete,
       first_day < getvariable('to_day')::DATE AND getvariable('from_day')::DATE < day_after AS touches
FROM sprint_days;

CREATE OR REPLACE TEMP TABLE sprinting AS
SELECT scope FROM asked
WHERE CASE
    -- Narrowed to a sprint.
    WHEN contains(scope, chr(31)) THEN split_part(scope, chr(31), 2) IN (SELECT sprint_id FROM sprint_days)
    ELSE CASE split_part(scope, ':', 1)
    WHEN 'org' THEN EXISTS (FROM sprint_in_range WHERE touches)
    WHEN 'team' THEN EXISTS (FROM sprint_in_range s WHERE touches AND coalesce(s.team_id = scope[6:], true))
    WHEN 'sprint' THEN scope[8:] IN (SELECT sprint_id FROM sprint_days)
    ELSE EXISTS (FROM selected a SEMI JOIN sprint_days USING (sprint_id) WHERE a.user_id = scope[8:]) END END;

CREATE OR REPLACE TEMP TABLE unit AS
WITH in_sprints AS (
    SELECT b.scope, a.activity_id, a.is_work,
           if(b.scope = 'org', json_array(a.team_id, a.sprint_id), json_array(a.sprint_id)) AS unit
    FROM belongs b JOIN sprinting USING (scope) JOIN selected a USING (activity_id)
    JOIN sprint_in_range s ON s.sprint_id = a.sprint_id AND s.complete
    WHERE b.scope LIKE 'person:%' OR (a.team_id IS NOT NULL AND coalesce(s.team_id = a.team_id, true))),
in_days AS (
    SELECT b.scope, a.activity_id, a.is_work,
           if(b.scope = 'org', json_array(a.team_id, a.day), json_array(a.day)) AS unit
    FROM belongs b ANTI JOIN sprinting USING (scope) JOIN selected a USING (activity_id)
    WHERE b.scope <> 'org' OR a.team_id IS NOT NULL OR NOT EXISTS (FROM selected WHERE team_id IS NOT NULL)),
units AS (FROM in_sprints UNION ALL FROM in_days),
worked AS (SELECT scope, unit FROM units WHERE is_work GROUP BY ALL)
SELECT scope, unit, activity_id FROM units JOIN worked USING (scope, unit);

CREATE OR REPLACE TEMP TABLE units AS
SELECT scope, count(DISTINCT unit) AS units FROM unit GROUP BY scope;

CREATE OR REPLACE TEMP TABLE hours AS
SELECT u.scope, f.figure, if(grouping(a.stereotype_code) = 0, a.stereotype_code, NULL) AS stereotype,
       coalesce(sum(f.numerator), 0)::BIGINT AS seconds
FROM unit u JOIN fact f USING (activity_id) JOIN selected a USING (activity_id)
GROUP BY GROUPING SETS ((u.scope, f.figure), (u.scope, f.figure, a.stereotype_code));
