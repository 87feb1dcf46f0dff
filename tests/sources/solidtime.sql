-- Written from the facts of solidtime's schema as far as the mapping is about it.
CREATE TABLE organizations (id uuid PRIMARY KEY, name varchar(255) NOT NULL);
CREATE TABLE users (id uuid PRIMARY KEY, name varchar(255) NOT NULL, timezone varchar(255) NOT NULL, password varchar(255));
CREATE TABLE tasks (id uuid PRIMARY KEY, name varchar(500) NOT NULL);
CREATE TABLE time_entries (id uuid PRIMARY KEY, description varchar(5000) NOT NULL, start timestamp(0) NOT NULL,
    "end" timestamp(0), billable boolean NOT NULL DEFAULT false, user_id uuid NOT NULL, member_id uuid NOT NULL,
    organization_id uuid NOT NULL, project_id uuid, task_id uuid, tags jsonb, created_at timestamp(0),
    updated_at timestamp(0));
INSERT INTO organizations VALUES ('00000000-0000-0000-0000-0000000000a1', 'One'), ('00000000-0000-0000-0000-0000000000a2', 'Two');
INSERT INTO users VALUES ('00000000-0000-0000-0000-0000000000b1', 'Ada', 'America/New_York', 'geheim'),
    ('00000000-0000-0000-0000-0000000000b2', 'Bo', 'Europe/Berlin', 'geheim');
INSERT INTO tasks VALUES ('00000000-0000-0000-0000-0000000000c1', 'Coding');
INSERT INTO time_entries (id, description, start, "end", user_id, member_id, organization_id, project_id, task_id, tags,
    updated_at) VALUES
    -- One person in two organisations, and in New York it is the day before.
    ('00000000-0000-0000-0000-000000000001', 'first', '2026-08-04 02:00:00', '2026-08-04 03:30:00',
     '00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000d1', '00000000-0000-0000-0000-0000000000a1',
     NULL, '00000000-0000-0000-0000-0000000000c1', '["x", "y"]', '2026-08-04 04:00:00'),
    ('00000000-0000-0000-0000-000000000002', '', '2026-08-04 12:00:00', '2026-08-04 12:00:00',
     '00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000d2', '00000000-0000-0000-0000-0000000000a2',
     NULL, NULL, NULL, NULL),
    -- It runs.
    ('00000000-0000-0000-0000-000000000003', '', '2026-08-04 12:00:00', NULL,
     '00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000d3', '00000000-0000-0000-0000-0000000000a2',
     NULL, NULL, '[]', NULL),
    ('00000000-0000-0000-0000-000000000004', '', '2026-08-04 12:00:00', '2026-08-04 11:00:00',
     '00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000d3', '00000000-0000-0000-0000-0000000000a2',
     NULL, NULL, '[]', NULL);
