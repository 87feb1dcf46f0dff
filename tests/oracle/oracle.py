"""Computes every figure from the tables of a source, with SQL of its own: no code and no Parquet file of wastewalk.

usage: oracle.py DATABASE.sqlite MAPPING.toml [FROM TO [SCOPE ...]]

Prints JSON: for each scope, each insight. Of a mapping only the source's name, zone and sprint rule are read; what its
columns mean is said again, in SQL, in sql/.
"""

import csv
import datetime
import json
import pathlib
import sqlite3
import sys
import tempfile
import tomllib
from collections import defaultdict

import duckdb

HERE = pathlib.Path(__file__).parent
CLASSIFICATION = HERE / "../../functions/annotate-classify/classification.toml"
SOURCES = {
    "reference": "reference.sql",
    "oracle-instants": "reference.sql",
    "oracle-local": "reference.sql",
    "oracle-days": "reference.sql",
    "cesaw": "cesaw.sql",
}
CATEGORIES = """coding review testing meeting ceremony planning refinement defect_investigation defect_fix deployment
    environment support learning admin pto other""".split()

DEFAULT_DAYS = 91
# Between a team or a person and the sprint that they are narrowed to.
IN = "\x1f"
# Each insight, with the figures beside it.
INSIGHTS = {
    "waste": [],
    "out-of-sprint": [],
    "automatable": [],
    "defect-investigation": ["rework"],
    "defects-after-release": [],
    "late-planning": ["refinement"],
    "ceremonies": ["ceremony-rating", "ceremony-time", "ratings"],
    "juggling": [],
    "context-switching": ["time-between", "time-at-switches", "breaks"],
    "focus": [],
}
# Not told apart by stereotype: a switch is between two of them.
WHOLE_ONLY = {"juggling", "context-switching"}
# What is counted is not seconds, so there are no hours of it.
COUNTED = {"juggling", "context-switching"}
NOT_DIVIDED = {"ratings"}
PHASES = ["before", "early", "middle", "late", "after", "unphased"]
BREAKDOWN = {
    "defect-investigation": PHASES,
    "defects-after-release": PHASES,
    "waste": ["automatable_waste", "planning_waste", "ceremony_waste", "sprint_waste"],
}
DISTRIBUTION = {
    "context-switching": "gap_seconds",
    "time-between": "gap_seconds",
    "juggling": "stereotypes_per_person_day",
}
# What comes back where it is mended, if that is not what is counted.
RECOVERABLE = {"juggling": "time-at-switches", "context-switching": "time-at-switches"}
# From where on a figure is a finding, and of how many hours at least.
THRESHOLDS = {
    "automatable": 0.10,
    "out-of-sprint": 0.20,
    "defect-investigation": 0.15,
    "defects-after-release": 0.30,
    "late-planning": 0.25,
    "ceremonies": 0.25,
    "juggling": 7.0,
    "context-switching": 8.0,
}
LEAST_HOURS = 1
BIN = {"gap_seconds": 60, "stereotypes_per_person_day": 1}


def fewest(parts):
    """How few of some parts reach 80 % of their sum; None of nothing."""
    whole, reached = sum(parts), 0
    for count, part in enumerate(sorted(parts, reverse=True), 1):
        reached += part
        if whole > 0 and reached * 100 >= whole * 80:
            return count
    return None


def ratio(numerator, denominator):
    return numerator / denominator if denominator and numerator is not None else None


class Oracle:
    """Knows a source's rows and answers for any range of days."""

    def __init__(self, database, mapping, time_zone=None, grace_days=1, long_gap_hours=3):
        with open(mapping, "rb") as file:
            source = tomllib.load(file)["source"]
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'")
        for name, value in [
            ("source", source["name"]),
            ("zone", time_zone or source.get("time_zone", "UTC")),
            ("sprint_rule", source.get("sprint_rule", "explicit_then_calendar")),
            ("grace_days", grace_days),
            ("long_gap_hours", long_gap_hours),
        ]:
            self.let(name, value)
        self.load(database)
        self.classify()
        for file in ("prelude.sql", SOURCES[source["name"]], "activities.sql", "meaning.sql"):
            self.run(file)
        # The log names nobody.
        self.unnamed = {"person"} if source["name"] == "cesaw" else set()
        self.first, self.newest = self.db.execute("SELECT min(day), max(day) FROM activity").fetchone()
        self.scopes = [scope for (scope,) in self.rows(
            """
            SELECT 'org'
            UNION ALL SELECT 'team:' || team_id FROM team
            UNION ALL SELECT 'sprint:' || sprint_id FROM sprint
            UNION ALL SELECT 'person:' || user_id FROM person WHERE user_id IN (SELECT user_id FROM activity)
                OR getvariable('source') <> 'cesaw'
            """)]
        # Of each team every sprint that it worked in, as a guest or not; of the persons every seventh.
        narrowed = [scope for (scope,) in self.rows(
            """
            WITH pairs AS (SELECT DISTINCT unnest(['team:' || team_id, 'person:' || user_id]) AS scope, sprint_id
                           FROM activity WHERE sprint_id IS NOT NULL),
            numbered AS (SELECT *, row_number() OVER (ORDER BY scope, sprint_id) AS number FROM pairs WHERE scope IS NOT NULL)
            SELECT scope || chr(31) || sprint_id FROM numbered WHERE scope LIKE 'team:%' OR number % 7 = 0 ORDER BY ALL
            """)]
        # A log without sprints of its own has nobody to narrow.
        self.scopes += [] if self.unnamed else narrowed

    def let(self, name, value):
        self.db.execute(f"SET VARIABLE {name} = ?", [value])

    def run(self, file):
        self.db.execute((HERE / "sql" / file).read_text())

    def rows(self, query):
        return self.db.execute(query).fetchall()

    def load(self, database):
        """Every table of the source, every value as text."""
        source = sqlite3.connect(f"file:{pathlib.Path(database).resolve()}?mode=ro", uri=True)
        tables = source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        with tempfile.TemporaryDirectory() as folder:
            for (table,) in tables:
                cursor = source.execute(f'SELECT * FROM "{table}"')
                path = pathlib.Path(folder, "table.csv")
                with open(path, "w", encoding="utf-8", newline="") as file:
                    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
                    writer.writerow([column[0] for column in cursor.description])
                    writer.writerows(["\\N" if value is None else value for value in row] for row in cursor)
                self.db.execute(
                    f"""CREATE TABLE "{table}" AS FROM read_csv('{path}', header = true, all_varchar = true,
                        nullstr = '\\N', allow_quoted_nulls = true, delim = ',', quote = '"', escape = '"',
                        new_line = '\\r\\n')"""
                )
        source.close()

    def classify(self):
        with open(CLASSIFICATION, "rb") as file:
            stereotypes = tomllib.load(file)["stereotypes"]
        self.db.execute("CREATE TABLE classification (code VARCHAR, category VARCHAR, automatable BOOLEAN)")
        for code, known in stereotypes.items():
            self.db.execute(
                "INSERT INTO classification VALUES (?, ?, ?)", [code, known.get("category"), known.get("automatable")]
            )
        self.db.execute("CREATE TABLE categories AS SELECT unnest(?::VARCHAR[]) AS category", [CATEGORIES])

    def resolve(self, start, stop):
        """The days that a request means: a range ends at the newest captured day at the latest."""
        end = self.newest + datetime.timedelta(days=1)
        stop = min(stop, end) if stop else end
        return start or stop - datetime.timedelta(days=DEFAULT_DAYS), stop

    def answer(self, start, stop, scopes=None):
        """Every insight of each scope over [start, stop)."""
        scopes = scopes or self.scopes
        self.let("from_day", start.isoformat())
        self.let("to_day", stop.isoformat())
        self.db.execute("CREATE OR REPLACE TEMP TABLE asked AS SELECT unnest(?::VARCHAR[]) AS scope", [scopes])
        self.run("range.sql")
        self.totals = dict(self.rows("FROM total"))
        self.unknown = {insight for (insight,) in self.rows("FROM unknown")}
        self.figures = {}
        columns = "rows, people, population, seconds, telling, covered, covered_seconds, numerator, denominator"
        for scope, figure, stereotype, *values in self.rows(
            f"SELECT scope, figure, stereotype, {columns} FROM figures"
        ):
            kinds = self.figures.setdefault((scope, figure), {})
            kinds[stereotype] = dict(zip(columns.split(", "), values))
        self.parts = {(scope, figure, label): value for scope, figure, label, value in self.rows("FROM parts")}
        self.spreads = {}
        for scope, column, values in self.rows(
            'SELECT scope, "column", list(value ORDER BY value) FROM spread GROUP BY ALL'
        ):
            self.spreads[scope, column] = values
        self.units = dict(self.rows("FROM units"))
        self.sprinting = {scope for (scope,) in self.rows("FROM sprinting")}
        self.seconds = {(scope, figure, kind): value for scope, figure, kind, value in self.rows(
            "SELECT scope, figure, stereotype, seconds FROM hours")}
        return {scope: {insight: self.insight(scope, insight) for insight in INSIGHTS} for scope in scopes}

    def finding(self, scope, insight, answer):
        """The finding in an answer of a scope, or None."""
        hours = answer["recoverable"] or answer["hours_per_sprint"]
        past = insight in THRESHOLDS and answer["ratio"] is not None and answer["ratio"] >= THRESHOLDS[insight]
        if not past or not hours or not hours["seconds"] or hours["value"] < LEAST_HOURS:
            return None
        hours_of = [kind["hours_per_sprint"] for kind in answer["by_stereotype"].values()]
        most = max((of for of in hours_of if of is not None), default=None)
        return {
            "scope": scope.partition(IN)[0],
            "recoverable_seconds": self.recoverable(scope, insight),
            "ratio": answer["ratio"],
            "threshold": THRESHOLDS[insight],
            "hours_per_sprint": hours["value"],
            "basis": hours["basis"],
            "start_with_hours": most,
            "rows": answer["rows"],
            "people": answer["people"],
            "status": answer["status"],
            "covered_share": answer["covered_share"],
            "ratings": self.figure(scope, insight, "ratings")["numerator"] if insight == "ceremonies" else None,
        }

    def recoverable(self, scope, insight):
        """What comes back, in seconds of all of the range."""
        return self.figures.get((scope, RECOVERABLE.get(insight, insight)), {}).get(None, {}).get("numerator", 0)

    def listed(self, scope):
        """Which sprints an organisation or a team is told, with the scope that each one's figures are of."""
        team = scope.removeprefix("team:") if scope != "org" else None
        sprints = self.rows(
            """
            SELECT sprint_id, team_id FROM sprint
            WHERE sprint_id IN (SELECT sprint_id FROM sprint_in_range WHERE touches)
                OR sprint_id NOT IN (SELECT sprint_id FROM sprint_days)
            """)
        worked = {sprint for (sprint,) in self.db.execute(
            "SELECT DISTINCT sprint_id FROM selected WHERE team_id = $team OR $team IS NULL", {"team": team}).fetchall()}
        own = [sprint for sprint, of in sprints if sprint in worked and (team is None or of is None or of == team)]
        return {f"sprint:{sprint}": f"sprint:{sprint}" if team is None else f"{scope}{IN}{sprint}" for sprint in own}

    def insight(self, scope, insight):
        whole = self.figure(scope, insight, insight)
        measurable = whole["status"] != "not_measurable"
        kinds = self.figures.get((scope, insight), {}) if insight not in WHOLE_ONLY else {}
        by_stereotype, breakdown, recoverable = {}, {}, None
        if measurable:
            by_stereotype = {
                kind: self.stereotype(scope, insight, kind)
                for kind, found in kinds.items()
                if kind is not None and found["rows"]
            }
            parts = BREAKDOWN.get(insight, [])
            breakdown = {part: self.parts.get((scope, insight, part), 0) for part in parts}
            recoverable = self.hours(scope, RECOVERABLE[insight]) if insight in RECOVERABLE else None
        return whole | {
            "hours_per_sprint": self.hours(scope, insight) if measurable else None,
            "recoverable": recoverable,
            "by_stereotype": by_stereotype,
            "beside": {beside: self.figure(scope, insight, beside) for beside in INSIGHTS[insight]},
            "breakdown": breakdown,
            "pareto": {
                "stereotypes": fewest([kind["numerator"] or 0 for kind in by_stereotype.values()]),
                "parts": fewest(list(breakdown.values())),
            },
        }

    def figure(self, scope, insight, figure, stereotype=None):
        found = self.figures.get((scope, figure), {}).get(stereotype, defaultdict(int))
        silent = found["population"] > 0 and found["telling"] == 0
        if not self.totals.get(scope) or silent or insight in self.unknown:
            status = "not_measurable"
        else:
            status = "measured" if found["covered"] == found["population"] else "partial"
        measurable = status != "not_measurable"
        denominator = None if figure in NOT_DIVIDED else found["denominator"] or 0
        return {
            "status": status,
            "numerator": found["numerator"] if measurable else None,
            "denominator": denominator if measurable else None,
            "ratio": ratio(found["numerator"], denominator) if measurable else None,
            "covered_share": ratio(found["covered_seconds"], found["seconds"]),
            "rows": found["rows"],
            "people": found["people"],
            "distribution": self.distribution(scope, figure) if measurable else None,
        }

    def stereotype(self, scope, insight, kind):
        figure = self.figure(scope, insight, insight, kind)
        answer = {field: figure[field] for field in ("numerator", "denominator", "ratio", "people")}
        hours = self.hours(scope, insight, kind) if figure["status"] != "not_measurable" else None
        divided = hours and hours["basis"] != "per_team_and_sprint"
        return answer | {"hours_per_sprint": hours["value"] if divided else None}

    def hours(self, scope, figure, stereotype=None):
        units = self.units.get(scope)
        if figure in COUNTED or not units:
            return None
        seconds = self.seconds.get((scope, figure, stereotype), 0)
        if scope not in self.sprinting:
            value = seconds * 10 / (3_600 * units)
            return {"value": value, "basis": "per_10_days", "seconds": seconds, "sprints": 0, "days": units}
        basis = "per_team_and_sprint" if scope == "org" else "per_sprint"
        return {"value": seconds / (3_600 * units), "basis": basis, "seconds": seconds, "sprints": units}

    def distribution(self, scope, figure):
        if figure not in DISTRIBUTION:
            return None
        column = DISTRIBUTION[figure]
        values, width = self.spreads.get((scope, column), []), BIN[column]
        quantiles = []
        for tenths in (5, 9) if values else ():
            # The nearest rank: the smallest value that at least so many tenths of all values do not exceed.
            value = values[(len(values) * tenths + 9) // 10 - 1]
            start = value // width * width
            quantiles.append({"q": tenths / 10, "from": start, "to": start + width})
        return {"column": column, "count": len(values), "sum": sum(values), "quantiles": quantiles}


if __name__ == "__main__":
    if len(sys.argv) < 3 or len(sys.argv) == 4:
        sys.exit(__doc__)
    oracle = Oracle(sys.argv[1], sys.argv[2])
    days = [datetime.date.fromisoformat(day) for day in sys.argv[3:5]] or [None, None]
    print(json.dumps(oracle.answer(*oracle.resolve(*days), scopes=sys.argv[5:]), indent=1))
