"""Writes an organisation that nobody would wish for, into SQLite: the same one for the same seed and kind.

usage: organisation.py SEED KIND OUT.sqlite [ZONE]

KIND is one of: hostile, unclassified, rated-only, no-sprints, no-teams, only-leave, single. The schema is that of the
reference mapping with more columns. The same rows can be read by mapping.toml (instants), local.toml (wall clocks) and
days.toml (dates without a time). ZONE is the organisation's, and what the mapping must state; without it that of Berlin.
Prints the number of activities.
"""

import datetime
import os
import random
import sqlite3
import sys
import zoneinfo

SCHEMA = """
    CREATE TABLE teams (id TEXT PRIMARY KEY, name TEXT);
    CREATE TABLE users (id TEXT PRIMARY KEY, team_id TEXT, name TEXT, timezone TEXT);
    CREATE TABLE memberships (user_id TEXT, team_id TEXT, joined_on TEXT, left_on TEXT);
    CREATE TABLE sprints (id TEXT PRIMARY KEY, team_id TEXT, name TEXT, starts_at TEXT, ends_at TEXT, released_at TEXT);
    CREATE TABLE activity_stereotypes (code TEXT PRIMARY KEY, name TEXT, category TEXT, automatable BOOL);
    CREATE TABLE activities (
        id TEXT PRIMARY KEY, user_id TEXT, team_id TEXT, sprint_id TEXT, project_id TEXT, stereotype_code TEXT,
        started_at TEXT, began TEXT, started_on TEXT, ended_at TEXT, duration INTEGER, out_of_sprint INTEGER,
        in_sprint TEXT, category TEXT, automatable TEXT, rating INTEGER, note TEXT, timezone TEXT, updated_at TEXT);
"""
HOME = "Europe/Berlin"
UTC = datetime.timezone.utc
MINUTE, HOUR, DAY = 60, 3_600, 86_400

# Monday of the first week. Clocks change in Berlin on 29 March and 25 October, in New York on 8 March and 1 November,
# in Cairo at midnight of 24 April, on Lord Howe Island on 5 April, by half an hour; in Kolkata and Apia they never do, and
# Apia is nearly a day ahead.
FIRST_DAYS = ["2026-03-02", "2026-03-23", "2026-04-20", "2026-06-29", "2026-10-19"]
# Where and when clocks change, and a second of the day that is then skipped or comes twice.
CHANGES = [
    ("America/New_York", "2026-03-08", 9_000),
    (HOME, "2026-03-29", 9_000),
    ("Australia/Lord_Howe", "2026-04-05", 5_400),
    ("Africa/Cairo", "2026-04-24", 600),
    (HOME, "2026-10-25", 9_000),
    ("America/New_York", "2026-11-01", 5_400),
]
ZONES = ["America/New_York", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo", HOME, None, None]

# Code, category, automatable. The first three are decided by the classification, whatever is claimed.
STEREOTYPES = [
    ("manual-deployment", "coding", 0),
    ("manual-regression-test", None, None),
    ("environment-setup", "pto", 1),
    ("coding", "coding", 0),
    ("Coding", "coding", None),
    ("review", "review", 0),
    ("bug-hunt", "defect_investigation", 0),
    ("bug-fix", "defect_fix", 0),
    ("planning", "planning", 0),
    ("estimation", "planning", 1),
    ("refinement", "refinement", None),
    ("stand-up", "ceremony", 0),
    ("steering", "meeting", 1),
    ("kick-off", "planning", None),
    ("retro", "ceremony", None),
    ("report", "admin", 1),
    ("gardening", "horticulture", None),
    ("shouting", "CODING", 0),
    ("whatever", None, None),
    ("misc", "other", 1),
    ("leave", "pto", 0),
]
CLAIMS = """coding planning meeting ceremony defect_fix defect_investigation refinement pto wizardry""".split()

# Just below, at and just above every limit of the definitions: a minute's bin, the gap that a block of focus survives,
# the shortest such block, the gap that is a break.
GAPS = [0, 0, 0, 1, 59, 60, 61, 299, 300, 301, 1_234, HOUR, 3 * HOUR - 1, 3 * HOUR, 3 * HOUR + 1, -1, -600, -2 * HOUR]
DURATIONS = [0, 1, 59, 60, 900, 1_800, 2_700, HOUR, HOUR, 5_400, 2 * HOUR - 1, 2 * HOUR, 2 * HOUR + 1, 5 * HOUR]
# Of a second, in millionths.
FRACTIONS = [0, 0, 0, 0, 1, 300_000, 499_999, 500_000, 500_001, 700_000, 999_999]
IDS = ["9", "10", "100", "a", "B", "ä", "z", "A-1", "0", "1e3"]
PEOPLE = ["1", "2", "10", "p&q", "ü", "x y", "7", "8", "P"]


def instant(text):
    """An instant as the source writes it, in UTC."""
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


class Organisation:
    """The rows of every table, drawn from one sequence of random numbers."""

    def __init__(self, seed, kind, home=HOME):
        self.kind = kind
        self.home = home
        self.draw = random.Random(f"{kind} {seed}")
        self.first = datetime.date.fromisoformat(self.draw.choice(FIRST_DAYS))
        self.weeks = self.draw.randint(1, 6)
        self.teams = [] if kind == "no-teams" else ["t1", "t2", "T&3", "10"][: self.draw.randint(1, 4)]
        self.users = self.people()
        self.sprints = [] if kind in ("no-sprints", "rated-only", "single") else list(self.calendar())
        self.memberships = list(self.stays())
        # Nobody of this team names a category, marks anything or rates anything.
        self.silent = self.draw.choice(self.teams) if len(self.teams) > 1 else None
        # The classification knows the first three.
        self.stereotypes = STEREOTYPES[3:] if kind == "unclassified" else STEREOTYPES
        if kind == "rated-only":
            # Of these nobody says whether a machine could do them.
            self.stereotypes = [known for known in STEREOTYPES if known[0] in ("retro", "kick-off", "leave")]
        self.activities = []
        self.work()

    def people(self):
        count = 1 if self.kind == "single" else self.draw.randint(4, len(PEOPLE))
        users = {}
        for number, person in enumerate(PEOPLE[:count]):
            # The third has no team.
            team = self.draw.choice(self.teams) if self.teams and number != 2 else None
            users[person] = (team, self.draw.choice(ZONES))
        return users

    def stays(self):
        """Who was in which team when: some people change in the middle, are between teams for a while or in two at once."""
        for person in self.users:
            if self.teams and self.draw.random() < 0.4:
                one, other = self.draw.choice(self.teams), self.draw.choice(self.teams)
                left = self.first + datetime.timedelta(days=self.draw.randint(1, 7 * self.weeks))
                joined = left + datetime.timedelta(days=self.draw.choice([0, 0, 2, -2]))
                yield (person, one, None, self.draw.choice([left, left, None]))
                yield (person, other, joined, None)

    def written(self, at):
        """The same instant, written in one of the ways of RFC 3339."""
        hours = self.draw.choice([None, None, -5, 2])
        if hours is None:
            return at.isoformat().replace("+00:00", "Z")
        return at.astimezone(datetime.timezone(datetime.timedelta(hours=hours))).isoformat()

    def calendar(self):
        """Sprints of each team, some of them overlapping, released early, late or never; and one of no team."""
        for team in self.teams:
            at = datetime.datetime.combine(
                self.first - datetime.timedelta(days=self.draw.choice([0, 0, 3, 7])),
                datetime.time(self.draw.choice([0, 0, 9, 23]), self.draw.choice([0, 0, 30])),
                zoneinfo.ZoneInfo(self.home),
            ) + datetime.timedelta(microseconds=self.draw.choice(FRACTIONS))
            length = self.draw.choice([3, 7, 7, 10, 14])
            number = 0
            while at.date() < self.first + datetime.timedelta(days=7 * self.weeks):
                # Local arithmetic: a sprint over a change of clocks is an hour shorter or longer than it looks.
                end = at + datetime.timedelta(days=length)
                number += 1
                days = self.draw.choice([None, None, length, length // 2, length + 2, -1])
                release = None if days is None else at + datetime.timedelta(days=days, hours=self.draw.randint(0, 12))
                if self.draw.random() < 0.85:
                    yield (f"{team}/{number}", team, at, end, release)
                if self.draw.random() < 0.2:
                    yield (f"{team}/{number} without a length", team, at, at, release)
                pause = self.draw.choice([0, 0, 0, 1, -2])
                at = end + datetime.timedelta(days=pause)
        if self.draw.random() < 0.4:
            start = datetime.datetime.combine(self.first, datetime.time(12), UTC)
            yield ("everybody", None, start, start + datetime.timedelta(days=4), None)

    def work(self):
        if self.kind == "single":
            self.add("1", self.first, 9 * HOUR, 8 * HOUR, "coding")
            return
        limit = self.draw.randint(120, 400)
        on_leave = set(self.draw.sample(sorted(self.users), 1)) if len(self.users) > 2 else set()
        rarely = self.draw.choice([0.1, 0.4, 0.7])
        for number in range(7 * self.weeks):
            day = self.first + datetime.timedelta(days=number)
            for person in self.users:
                if len(self.activities) < limit and self.draw.random() > rarely:
                    self.person_day(person, day, person in on_leave or self.kind == "only-leave")
        if self.kind not in ("only-leave", "rated-only"):
            self.at_the_edges(sorted(set(self.users) - on_leave))
            self.while_clocks_change()

    def while_clocks_change(self):
        for zone, changed, second in CHANGES:
            day = datetime.date.fromisoformat(changed)
            if self.first <= day < self.first + datetime.timedelta(days=7 * self.weeks):
                for person in [person for person, (_, own) in self.users.items() if (own or self.home) == zone]:
                    for at in (0, second - HOUR, second, second + 1, second + HOUR):
                        self.add(person, day, max(0, at), self.draw.choice(DURATIONS), "coding")

    def at_the_edges(self, people):
        """Defects and planning a second before, at and a second after the instants that decide about them."""
        for sprint, _, start, end, release in self.sprints:
            third = (end - start) / 3
            midnight = start.replace(hour=0, minute=0, microsecond=0) + datetime.timedelta(days=1)
            for edge in filter(None, [start, start + third, start + 2 * third, end, release, midnight]):
                if self.draw.random() < 0.4:
                    person = self.draw.choice(people)
                    zone = zoneinfo.ZoneInfo(self.users[person][1] or self.home)
                    planning = edge == midnight or self.draw.random() < 0.1
                    seconds = self.draw.choice([-2 * HOUR, -HOUR, -1, 0] if planning else [-1, 0, 1])
                    nearly = self.draw.choice([-1, 0, 0, 0, 1])
                    local = edge.astimezone(UTC).astimezone(zone)
                    local += datetime.timedelta(seconds=seconds, microseconds=nearly)
                    code = self.draw.choice(["planning", "estimation"] if planning else ["bug-hunt", "bug-fix"])
                    second = local.hour * HOUR + local.minute * MINUTE + local.second
                    named = self.draw.choice([sprint, sprint, None])
                    lasts = self.draw.choice([HOUR, 5 * HOUR])
                    self.add(person, local.date(), second, lasts, code, None, named, local.microsecond)

    def person_day(self, person, day, leave):
        if leave:
            self.add(person, day, 9 * HOUR, 8 * HOUR, "leave")
            return
        at = self.draw.choice([0, 1_800, 5_400, 9_000, 9_001, 8 * HOUR, 9 * HOUR, 9 * HOUR + 1, 13 * HOUR, 22 * HOUR])
        stereotype, project = self.draw.choice(self.stereotypes)[0], None
        focused = self.draw.choice([0.1, 0.5, 0.9])
        for _ in range(self.draw.randint(1, 7)):
            if self.draw.random() > focused:
                stereotype = self.draw.choice(self.stereotypes)[0]
                project = self.draw.choice([None, None, "apollo", "gemini", ""])
            duration = self.draw.choice(DURATIONS)
            if at < DAY:
                self.add(person, day, at, duration, stereotype, project)
            at = max(0, at + duration + self.draw.choice(GAPS))
            if at < DAY and self.draw.random() < 0.06:
                self.add(person, day, at, self.draw.choice([0, 1, 200]), "leave")

    def add(self, person, day, second, duration, stereotype, project=None, sprint=None, fraction=None):
        draw, (own, zone) = self.draw, self.users[person]
        team = draw.choice(self.teams) if self.teams and draw.random() < 0.1 else None
        row_zone = draw.choice(ZONES) if draw.random() < 0.1 else None
        silent = self.kind == "unclassified" or (self.silent is not None and (team or own) == self.silent)
        fraction = draw.choice(FRACTIONS) if fraction is None else fraction
        local = datetime.datetime.combine(day, datetime.time())
        local += datetime.timedelta(seconds=second, microseconds=fraction)
        at = local.replace(tzinfo=zoneinfo.ZoneInfo(row_zone or zone or self.home), fold=draw.randint(0, 1)).astimezone(UTC)
        # Of an instant the zone says which wall clock it was; the wall clock alone may have been skipped or come twice.
        span = duration + draw.choice([0, 0, 0, 600]) + draw.choice(FRACTIONS) / 1_000_000
        span = datetime.timedelta(seconds=span)
        exactly = datetime.timedelta(seconds=duration)
        ended, lasted = draw.choice([(None, duration), (None, duration), (exactly, duration), (span, duration), (span, None)])
        if draw.random() < 0.01:
            ended, lasted = None, None
        rated = not silent and draw.random() < 0.6
        unmarked = silent or self.kind == "rated-only"
        divided = not unmarked and draw.random() < (0.6 if sprint else 0.2)
        if self.sprints and draw.random() < 0.15:
            sprint = draw.choice(self.sprints[-3:])[0]
        self.activities.append(
            {
                "id": self.identity(),
                "user_id": person,
                "team_id": team,
                "sprint_id": sprint,
                "project_id": project,
                "stereotype_code": "never-heard-of" if draw.random() < 0.01 else stereotype,
                "started_at": self.written(at),
                "began": local.isoformat(sep=draw.choice(" T")),
                "started_on": day.isoformat(),
                "ended_at": None if ended is None else self.written(at + ended),
                "duration": -1 if lasted is not None and draw.random() < 0.005 else lasted,
                "out_of_sprint": draw.randint(0, duration) if divided else None,
                "in_sprint": None if unmarked else draw.choice([None, None, "1", "0", "true", "No"]),
                "category": draw.choice(CLAIMS) if not unmarked and draw.random() < 0.05 else None,
                "automatable": draw.choice(["yes", "0"]) if not unmarked and draw.random() < 0.1 else None,
                "rating": draw.randint(1, 5) if rated else None,
                "note": draw.choice([None, "", "it's \"quoted\", with a comma"]),
                "timezone": row_zone,
                "updated_at": self.written(at),
            }
        )

    def identity(self):
        """An id whose order as text is not the order of insertion, nor that of numbers."""
        number = len(self.activities)
        return IDS[number] if number < len(IDS) else f"{self.draw.choice(['', 'k', 'Z', '1'])}{number * 7}-{number}"


def generate(seed, kind, path, home=HOME):
    """Writes the organisation of a seed to `path`, replacing what is there; returns how many activities it has."""
    organisation = Organisation(seed, kind, home)
    if os.path.exists(path):
        os.remove(path)
    database = sqlite3.connect(path)
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO teams VALUES (?, ?)", [(team, f"Team {team}") for team in organisation.teams])
    people = [(person, team, f"Person {person}", zone) for person, (team, zone) in organisation.users.items()]
    database.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", people)
    stays = [(person, team, since and since.isoformat(), until and until.isoformat())
             for person, team, since, until in organisation.memberships]
    database.executemany("INSERT INTO memberships VALUES (?, ?, ?, ?)", stays)
    for sprint, team, *instants in organisation.sprints:
        written = [at and organisation.written(at.astimezone(UTC)) for at in instants]
        database.execute("INSERT INTO sprints VALUES (?, ?, ?, ?, ?, ?)", (sprint, team, f"Sprint {sprint}", *written))
    for code, category, automatable in organisation.stereotypes:
        claims = (None, None) if kind == "unclassified" else (category, automatable)
        name = None if code == "misc" else code.title()
        database.execute("INSERT INTO activity_stereotypes VALUES (?, ?, ?, ?)", (code, name, *claims))
    for activity in organisation.activities:
        marks = ", ".join(f":{column}" for column in activity)
        database.execute(f"INSERT INTO activities VALUES ({marks})", activity)
    database.commit()
    database.close()
    return len(organisation.activities)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    print(generate(*sys.argv[1:]))
