-- Written from the facts of OpenProject's schema as it was when it parted from Redmine's.
CREATE TABLE users (id integer PRIMARY KEY, login varchar, firstname varchar, lastname varchar, type varchar);
CREATE TABLE group_users (group_id integer NOT NULL, user_id integer NOT NULL);
CREATE TABLE enumerations (id integer PRIMARY KEY, name varchar NOT NULL, type varchar);
CREATE TABLE time_entries (id integer PRIMARY KEY, project_id integer NOT NULL, user_id integer NOT NULL,
    work_package_id integer, hours float NOT NULL, comments varchar, activity_id integer, spent_on date NOT NULL,
    tyear integer NOT NULL, tmonth integer NOT NULL, tweek integer NOT NULL, created_on timestamp NOT NULL,
    updated_on timestamp NOT NULL);
INSERT INTO users VALUES (1, 'ada', 'Ada', 'Lovelace', 'User'), (2, 'bo', 'Bo', 'Ek', 'User'), (20, '', '', 'Red', 'Group');
INSERT INTO group_users VALUES (20, 1);
INSERT INTO enumerations VALUES (9, 'Development', 'TimeEntryActivity');
INSERT INTO time_entries VALUES
    (1, 1, 1, 77, 1.5, 'x', 9, '2026-08-03', 2026, 8, 32, '2026-08-03 10:00:00', '2026-08-03 10:00:00'),
    (2, 1, 2, NULL, 0.25, '', NULL, '2026-08-04', 2026, 8, 32, '2026-08-04 10:00:00', '2026-08-05 10:00:00');
