"""Loads the CESAW time log into SQLite, as a source that wastewalk can read with mapping.toml.

usage: load.py TIME_FACT.csv[.xz] CLASSIFICATION.csv OUT.sqlite

The log's columns are kept as they are; whole numbers become integers, everything else stays text, so that its dirt
reaches the anti-corruption layer. What the data set does not have is added: a team for each team key, fourteen-day
sprints per team from the first Monday on or before its first row, and the stereotypes with their classification.
"""

import csv
import datetime
import lzma
import os
import sqlite3
import sys


def day_of(text):
    """The day of a start date, or None where it is none between 1970 and 2100."""
    try:
        day = datetime.datetime.strptime(text, "%m/%d/%Y %H:%M").date()
    except ValueError:
        return None
    return day if 1970 <= day.year <= 2100 else None


def cell(text):
    return int(text) if text.removeprefix("-").isdigit() else text


def main(log, classification, out):
    opened = lzma.open if log.endswith(".xz") else open
    with opened(log, "rt", encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames
        rows = list(reader)
    days = {}
    for row in rows:
        day = day_of(row["time_log_start_date"])
        if day:
            first, last = days.get(row["team_key"], (day, day))
            days[row["team_key"]] = (min(first, day), max(last, day))

    partial = out + ".part"
    if os.path.exists(partial):
        os.remove(partial)
    database = sqlite3.connect(partial)
    names = ", ".join(f'"{column}"' for column in columns)
    database.execute(f"CREATE TABLE time_log ({names})")
    marks = ", ".join("?" for _ in columns)
    values = ([cell(row[column]) for column in columns] for row in rows)
    database.executemany(f"INSERT INTO time_log VALUES ({marks})", values)

    database.execute("CREATE TABLE teams (team_key INTEGER, name TEXT)")
    database.executemany("INSERT INTO teams VALUES (?, ?)", [(int(key), f"Team {key}") for key in days])

    database.execute("CREATE TABLE sprints (id TEXT, team_key INTEGER, name TEXT, starts_on TEXT, ends_on TEXT)")
    for key, (first, last) in days.items():
        start, number = first - datetime.timedelta(days=first.weekday()), 1
        while start <= last:
            end = start + datetime.timedelta(days=14)
            sprint = (f"{key}-{number}", int(key), f"Sprint {number}", start.isoformat(), end.isoformat())
            database.execute("INSERT INTO sprints VALUES (?, ?, ?, ?, ?)", sprint)
            start, number = end, number + 1

    database.execute("CREATE TABLE stereotypes (code TEXT, category TEXT, automatable TEXT)")
    with open(classification, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            database.execute(
                "INSERT INTO stereotypes VALUES (?, ?, ?)", (row["stereotype"], row["category"], row["automatable"])
            )
    database.commit()
    database.close()
    os.replace(partial, out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
