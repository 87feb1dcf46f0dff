-- Written from the facts of GitLab's schema as far as the mapping is about it.
CREATE TABLE users (id integer PRIMARY KEY, name varchar, encrypted_password varchar);
CREATE TABLE timelogs (id integer PRIMARY KEY, time_spent integer NOT NULL, user_id integer, created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL, issue_id integer, merge_request_id integer, spent_at timestamp, project_id integer,
    summary text);
INSERT INTO users VALUES (1, 'Ada', 'geheim');
INSERT INTO timelogs VALUES
    -- Booked shortly before midnight in UTC, which is the next day in Berlin.
    (1, 7200, 1, '2026-08-03 22:30:00', '2026-08-03 22:30:00', 5, NULL, '2026-08-03 22:30:00', 3, 'in the evening'),
    (2, 1800, 1, '2026-08-05 09:00:00', '2026-08-05 09:00:00', NULL, 6, '2026-08-04 12:00:00', 3, NULL),
    -- Too much, so some of it is taken back.
    (3, -900, 1, '2026-08-05 09:00:00', '2026-08-05 09:00:00', NULL, 6, '2026-08-04 12:00:00', 3, NULL),
    -- Nobody said when.
    (4, 60, 1, '2026-08-06 09:00:00', '2026-08-06 09:00:00', 5, NULL, NULL, 3, NULL),
    -- Nobody is left who did it.
    (5, 60, NULL, '2026-08-06 09:00:00', '2026-08-06 09:00:00', 5, NULL, NULL, 3, NULL);
