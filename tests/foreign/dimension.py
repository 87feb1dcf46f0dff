"""Prints the members of a dimension, as JSON.

usage: dimension.py FILE
"""

import json
import sys

import duckdb

members = duckdb.execute("FROM read_parquet(?, hive_partitioning = false)", [sys.argv[1]])
columns = [column[0] for column in members.description]
print(json.dumps([dict(zip(columns, row)) for row in members.fetchall()], default=str))
