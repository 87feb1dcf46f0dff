"""The demo organisation in PostgreSQL, with the reader's password in a secret."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from stack import ROOT

TABLES = ["teams", "users", "sprints", "activity_stereotypes", "activities"]


class Source:
    """A server of its own, with the demo's rows in PostgreSQL's types and a user who can only read them."""

    READER, PASSWORD = "reader", "only: a/test?#%@"

    def __init__(self, demo: Path):
        python = os.environ.get("WASTEWALK_PYTHON", ROOT / ".tools/python/bin/python")
        # It ends, and removes itself, when its standard input does.
        self.server = subprocess.Popen(
            [python, ROOT / "tests/foreign/postgres.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        told = json.loads(self.server.stdout.readline())
        self.port = told["port"]
        self.owner = {"host": told["socket"], "port": told["port"], "user": told["user"], "dbname": "postgres"}
        with psycopg.connect(**self.owner) as owner:
            with closing(sqlite3.connect(demo)) as source:
                for table in TABLES:
                    _copy(source, owner, table)
            reader, password = sql.Identifier(self.READER), sql.Literal(self.PASSWORD)
            owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(reader, password))
            owner.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(reader))

    def parameters(self, secrets) -> dict[str, str]:
        """What the template is told of it. Name and password are in a secret, as RDS would keep them."""
        login = json.dumps({"username": self.READER, "password": self.PASSWORD})
        secret = secrets.create_secret(Name="wastewalk/source", SecretString=login)
        # On this very machine there is nobody to listen.
        url = f"postgres://127.0.0.1:{self.port}/postgres?sslmode=disable"
        return {"SourceUrl": url, "SourceSecretArn": secret["ARN"]}

    @property
    def url(self) -> str:
        """Its address for a person, with the password."""
        return f"postgres://{self.READER}:{quote(self.PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def execute(self, *statements: str):
        """Changes it, as its owner."""
        with psycopg.connect(**self.owner) as owner:
            for statement in statements:
                owner.execute(statement)

    def stop(self):
        """Ends the server."""
        self.server.communicate()


def _copy(source: sqlite3.Connection, target: psycopg.Connection, table: str):
    """Copies a table row for row; what SQLite keeps as text or number gets the type that PostgreSQL has for it."""
    columns = [(name, _type_of(name, kind)) for _, name, kind, *_ in source.execute(f"PRAGMA table_info({table})")]
    declared = ", ".join(f"{name} {kind}" for name, kind in columns)
    target.execute(f"CREATE TABLE {table} ({declared})")
    booleans = [kind == "boolean" for _, kind in columns]
    with target.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for row in source.execute(f"SELECT * FROM {table}"):
            copy.write_row([bool(it) if boolean and it is not None else it for it, boolean in zip(row, booleans)])


def _type_of(name: str, kind: str) -> str:
    if name.endswith("_at"):
        return "timestamptz"
    return {"INTEGER": "bigint", "TEXT": "text", "BOOL": "boolean"}[kind]
