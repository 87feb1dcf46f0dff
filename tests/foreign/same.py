"""Compares the activities of two lakes, row for row in all canonical columns, and prints what it finds as JSON.

usage: same.py LAKE_FOLDER LAKE_FOLDER
"""

import json
import sys

import duckdb

db = duckdb.connect()
for name, lake in zip("ab", sys.argv[1:], strict=True):
    db.execute(
        f"""
        CREATE VIEW {name} AS
        SELECT * EXCLUDE (filename, source_row), regexp_extract(filename, 'date=([^/]+)/', 1) AS day
        FROM read_parquet('{lake}/activities/**/*.parquet', filename = true, hive_partitioning = false)
        """
    )


def count(query):
    return db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]


print(
    json.dumps(
        {
            "rows": [count("FROM a"), count("FROM b")],
            "columns": len(db.execute("FROM a LIMIT 0").description),
            "differ": count("FROM a EXCEPT ALL FROM b") + count("FROM b EXCEPT ALL FROM a"),
        }
    )
)
