"""Asks a running API for every insight of every scope and compares each value with what the oracle computes.

usage: compare.py DATABASE.sqlite MAPPING.toml API_URL [--ranges FROM:TO ...] [--scopes SCOPE ...]
           [--time-zone ZONE] [--grace-days N] [--long-gap-hours N]

Ranges are local days, FROM included, TO not; either may be left out; `months` is every calendar month. Without any:
the default range, all that was captured and more, a part of it, days on which clocks change, whole sprints and sprints
cut short. A scope may be a kind, such as team. Prints JSON: how many values were compared, and each difference with the
question that shows it.
"""

import argparse
import concurrent.futures
import datetime
import json
import math
import sys
import urllib.error
import urllib.parse
import urllib.request

# Nothing is left beside the sources.
sys.dont_write_bytecode = True

from oracle import IN, INSIGHTS, Oracle  # noqa: E402

DAY = datetime.timedelta(days=1)
FIGURE = ("status", "numerator", "denominator", "ratio", "covered_share", "rows", "people")
STEREOTYPE = ("numerator", "denominator", "ratio", "people", "hours_per_sprint")
ABSENT = "(absent)"
# What a part of a breakdown is called by the oracle, and a word that is in its label.
WORDS = {
    "early": "first",
    "middle": "second",
    "late": "last",
    "unphased": "without",
    "automatable_waste": "automatable",
    "planning_waste": "planning",
    "ceremony_waste": "ceremon",
    "sprint_waste": "sprint",
}


def months(oracle):
    """Every calendar month with a captured day, the last one as far as it goes."""
    month = oracle.first.replace(day=1)
    while month <= oracle.newest:
        following = (month + 31 * DAY).replace(day=1)
        yield month, following
        month = following


def ranges(oracle):
    """Pairs of days, or None, as a request would name them."""
    first, newest = oracle.first, oracle.newest
    length = (newest - first).days + 1
    yield None, None
    yield first, newest + 30 * DAY
    yield first + length // 4 * DAY, first + max(length // 4 + 1, length * 2 // 3) * DAY
    for changed in ("2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-25"):
        day = datetime.date.fromisoformat(changed)
        if first <= day <= newest:
            yield day, day + DAY
    sprints = oracle.rows("SELECT first_day, day_after FROM sprint_days ORDER BY first_day, sprint_id")
    for start, stop in sprints[len(sprints) // 3 :][:1] + sprints[len(sprints) * 2 // 3 :][:1]:
        if start <= newest:
            yield start, stop
        if start + DAY < stop and start + DAY <= newest:
            yield start + DAY, stop
            yield start, stop - DAY


class Comparison:
    """Counts what is equal and keeps what is not."""

    def __init__(self):
        self.compared = 0
        self.differences = []

    def check(self, question, insight, field, expected, found):
        self.compared += 1
        if isinstance(expected, float) and isinstance(found, float):
            # A quotient; whole numbers are equal or not.
            equal = math.isclose(found, expected, rel_tol=1e-12)
        else:
            equal = found == expected and type(found) is type(expected)
        if equal:
            return
        self.differences.append(
            {**question, "insight": insight, "field": field, "expected": expected, "found": found}
        )

    def fields(self, question, insight, prefix, names, expected, found):
        for name in names:
            self.check(question, insight, prefix + name, expected.get(name), found.get(name, ABSENT))

    def insight(self, question, insight, expected, found):
        self.figure(question, insight, "", expected, found)
        self.hours(question, insight, "hours_per_sprint", expected, found)
        self.hours(question, insight, "recoverable", expected, found)
        self.check(question, insight, "pareto", expected["pareto"], found.get("pareto", ABSENT))
        self.by_stereotype(question, insight, expected, found)
        besides = {beside["id"]: beside for beside in found.get("beside") or []}
        self.check(question, insight, "beside", sorted(expected["beside"]), sorted(besides))
        for name in expected["beside"].keys() & besides.keys():
            self.figure(question, insight, f"beside {name}: ", expected["beside"][name], besides[name])
        if expected["status"] != "not_measurable":
            self.breakdown(question, insight, expected["breakdown"], found.get("breakdown") or [])

    def figure(self, question, insight, prefix, expected, found):
        self.fields(question, insight, prefix, FIGURE, expected, found)
        wanted, given = expected["distribution"], found.get("distribution")
        if wanted is None or given is None:
            # Of no values at all there may be a distribution or none.
            wanted = wanted if wanted and wanted["count"] else None
            self.check(question, insight, prefix + "distribution", wanted, given)
        else:
            names = ("column", "count", "sum", "quantiles") if wanted["count"] else ("column", "count", "sum")
            self.fields(question, insight, prefix + "distribution.", names, wanted, given)

    def hours(self, question, insight, name, expected, found):
        expected, found = expected[name], found.get(name)
        if expected is None or found is None:
            self.check(question, insight, name, expected, found)
            return
        self.fields(question, insight, f"{name}.", ("value", "basis", "seconds", "sprints"), expected, found)
        self.check(question, insight, f"{name}.days", expected.get("days"), found.get("days"))

    def by_stereotype(self, question, insight, expected, found):
        kinds = {kind["stereotype"]: kind for kind in found.get("by_stereotype") or []}
        if expected["status"] == "not_measurable":
            # They may be listed, but nothing is known of any of them.
            for name, kind in kinds.items():
                self.check(question, insight, f"stereotype {name}: numerator", None, kind.get("numerator", ABSENT))
            return
        self.check(question, insight, "stereotypes", sorted(expected["by_stereotype"]), sorted(kinds))
        for name in sorted(expected["by_stereotype"].keys() & kinds.keys()):
            prefix = f"stereotype {name}: "
            self.fields(question, insight, prefix, STEREOTYPE, expected["by_stereotype"][name], kinds[name])

    def breakdown(self, question, insight, expected, found):
        labels = {part["label"]: part["value"] for part in found}
        self.check(question, insight, "parts of the breakdown", len(expected), len(found))
        for part, value in expected.items():
            named = [label for label in labels if WORDS.get(part, part) in label.lower()]
            self.check(question, insight, f"breakdown {part}", value, labels[named[0]] if len(named) == 1 else ABSENT)


    def findings(self, question, scope, oracle, expected, found):
        """An organisation's are those of its teams and of the people without one, and its own only where neither has one."""
        by_team = {team: expected[team] for team in expected if scope == "org" and team.startswith("team:") and IN not in team}
        wanted = {}
        for insight in INSIGHTS:
            of = {team: oracle.finding(team, insight, answers[insight]) for team, answers in by_team.items()}
            of = {team: finding for team, finding in of.items() if finding}
            rest = [one for one in found if one["id"] == insight and one.get("without_team")]
            if not of and not rest:
                of = {scope: oracle.finding(scope, insight, expected[scope][insight])}
            wanted |= {(insight, finding["scope"]): finding for finding in of.values() if finding}
            for one in rest:
                whole, *parts = [oracle.recoverable(of, insight) for of in [scope, *by_team]]
                self.check(question, insight, "without a team: seconds", whole - sum(parts), one["recoverable_seconds"])
        given = {(one["id"], one["scope"]): flat(one) for one in found if not one.get("without_team")}
        self.check(question, None, "findings", sorted(wanted), sorted(given))
        for name in wanted.keys() & given.keys():
            self.fields(question, name[0], f"finding {name[1]}: ", wanted[name], wanted[name], given[name])
        seconds = [one["recoverable_seconds"] for one in found]
        self.check(question, None, "order of findings", sorted(seconds, reverse=True), seconds)

    def listed(self, question, what, expected, found):
        given = {one["scope"]: one for one in found}
        self.check(question, None, what, sorted(expected), sorted(given))
        for scope in expected.keys() & given.keys():
            if expected[scope] is None:
                continue
            work = expected[scope]["waste"]
            if work["denominator"] is not None:
                self.check(question, None, f"{scope}: work", work["denominator"], given[scope]["work_seconds"])
            for insight in INSIGHTS:
                self.fields(question, insight, f"{scope}: ", FIGURE, expected[scope][insight], given[scope]["insights"][insight])


def flat(finding):
    confidence, start = finding["confidence"], finding["start_with"]
    rests_on = confidence.get("rests_on")
    return finding | confidence | {
        "start_with_hours": start["hours_per_sprint"] if start else None,
        "ratings": rests_on["count"] if rests_on else None,
    }


def ask(url, path, scope, start, stop):
    whose, _, sprint = scope.partition(IN)
    query = {"scope": whose} | ({"sprint": sprint} if sprint else {}) | {name: day.isoformat() for name, day in (("from", start), ("to", stop)) if day}
    address = f"{url.rstrip('/')}/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(address, timeout=120) as response:
            return address, json.load(response)
    except urllib.error.HTTPError as error:
        return address, {"problem": f"{error.code} {error.read().decode(errors='replace')}"}


def compare(oracle, url, asked, scopes):
    comparison = Comparison()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for start, stop in dict.fromkeys(asked):
            first, after = oracle.resolve(start, stop)
            answers = {scope: pool.submit(ask, url, "insights", scope, start, stop) for scope in scopes}
            findings = {scope: pool.submit(ask, url, "findings", scope, start, stop) for scope in scopes}
            listed = {
                (what, scope): pool.submit(ask, url, what, scope, start, stop)
                for scope in scopes if IN not in scope
                for what in ("teams", "sprints") if scope == "org" or what == "sprints" and scope.startswith("team:")
            }
            expected = oracle.answer(first, after, scopes)
            for scope, answer in answers.items():
                address, found = answer.result()
                question = {"scope": scope, "range": f"{first} to {after}", "address": address}
                if "problem" in found:
                    # Whom no dimension names and no row of the range mentions, nobody knows.
                    unknown = scope.split(":")[0] in oracle.unnamed and not expected[scope]["out-of-sprint"]["rows"]
                    comparison.check(question, None, "answer", "404" if unknown else "insights", found["problem"][:3])
                    continue
                days = [found["selection"][name] for name in ("from", "to")]
                comparison.check(question, None, "range", [first.isoformat(), after.isoformat()], days)
                insights = {insight["id"]: insight for insight in found["insights"]}
                comparison.check(question, None, "insights", sorted(INSIGHTS), sorted(insights))
                for name in INSIGHTS:
                    if name in insights:
                        comparison.insight(question, name, expected[scope][name], insights[name])
                question["address"], found = findings[scope].result()
                comparison.findings(question, scope, oracle, expected, found["findings"])
            for (what, scope), answer in listed.items():
                address, found = answer.result()
                question = {"scope": scope, "range": f"{first} to {after}", "address": address}
                if what == "teams":
                    parts = {of: of for of in expected if of.startswith("team:") and IN not in of and oracle.totals.get(of)}
                else:
                    parts = oracle.listed(scope)
                # Figures of what was not asked for are not known.
                comparison.listed(question, what, {part: expected.get(of) for part, of in parts.items()}, found.get(what, []))
    return comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("mapping")
    parser.add_argument("url")
    parser.add_argument("--ranges", nargs="+")
    parser.add_argument("--scopes", nargs="+")
    parser.add_argument("--time-zone", help="the organisation's, where the mapping does not state it")
    parser.add_argument("--grace-days", type=int, default=1)
    parser.add_argument("--long-gap-hours", type=int, default=3)
    arguments = parser.parse_args()
    oracle = Oracle(
        arguments.database, arguments.mapping, arguments.time_zone, arguments.grace_days, arguments.long_gap_hours
    )
    asked = []
    for words in arguments.ranges or []:
        if words == "months":
            asked.extend(months(oracle))
        else:
            asked.append(tuple(datetime.date.fromisoformat(day) if day else None for day in words.split(":")))
    chosen = arguments.scopes
    scopes = [scope for scope in oracle.scopes if not chosen or scope in chosen or scope.split(":")[0] in chosen]
    comparison = compare(oracle, arguments.url, asked or list(ranges(oracle)), scopes)
    print(json.dumps({"compared": comparison.compared, "differences": comparison.differences}, ensure_ascii=False))


if __name__ == "__main__":
    main()
