"""Runs a MariaDB server in a folder of its own until its standard input ends, then removes all of it.

usage: mariadb.py

Prints one line of JSON once it answers: the password of root, who may come in by the socket only, the port, where it
speaks TLS as `localhost` too, the socket, and the file of the authority that signed for that.
"""

import contextlib
import getpass
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import trustme

PASSWORD = "r@@t:/?#%w"
# What MariaDB's own installer runs; the second name is that of other packagings.
TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install():
    """The server's program and the statements that make its own tables."""
    # Not every path leads to where system programs are.
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/libexec"
    program = shutil.which("mariadbd", path=path)
    if program is None:
        sys.exit("there is no `mariadbd` here; `make tools` installs it as root on Debian, else install the package "
                 "mariadb-server-core, or MariaDB 10.6 or newer, and put mariadbd on the PATH")
    share = pathlib.Path(program).resolve().parents[1] / "share"
    for folder in (share / "mysql", share / "mariadb"):
        for prefix in ("mysql_", "mariadb_"):
            files = [folder / name.replace("mysql_", prefix, 1) for name in TABLES]
            if all(file.exists() for file in files):
                return program, [file.read_text() for file in files]
    sys.exit(f"{program} lacks the statements that make its tables; they belong into {share}/mysql")


@contextlib.contextmanager
def server(folder, certificate):
    program, tables = install()
    data, authority = folder / "data", folder / "ca.pem"
    data.mkdir()
    # It refuses root unless root says so.
    common = [program, "--no-defaults", f"--datadir={data}", f"--user={getpass.getuser()}", f"--tmpdir={folder}"]
    own = ["CREATE DATABASE mysql;", "USE mysql;", *tables, "FLUSH PRIVILEGES;",
           f"ALTER USER root@localhost IDENTIFIED BY '{PASSWORD}';", "DELETE FROM mysql.global_priv WHERE User = '';"]
    made = subprocess.run([*common, "--bootstrap", "--skip-networking"], input="\n".join(own), text=True, capture_output=True)
    if made.returncode != 0:
        sys.exit(f"MariaDB cannot make its own tables: {made.stderr}")
    # A port that was free may be taken by now.
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(
            [*common, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket", "--skip-name-resolve",
             f"--pid-file={folder}/pid", "--max-connections=100", "--table-open-cache=200", "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite",
             f"--ssl-ca={authority}", f"--ssl-cert={certificate}", f"--ssl-key={certificate}",
             # A server may be set to anything; the sources say what they want.
             "--character-set-server=latin1", "--default-time-zone=+05:30", f"--log-error={folder}/log"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None and not answers(port):
                time.sleep(0.05)
            if process.poll() is None:
                yield port
                return
        finally:
            if process.poll() is None:
                # At once: nothing here is worth keeping.
                process.send_signal(signal.SIGKILL)
                process.wait()
    sys.exit(f"MariaDB does not start: {(folder / 'log').read_text()}")


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        return bool(probe.recv(1))
    return False


def main():
    with tempfile.TemporaryDirectory(prefix="mdb") as name:
        folder = pathlib.Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        certificate = folder / "server.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        with server(folder, certificate) as port:
            told = {"password": PASSWORD, "port": port, "socket": str(folder / "socket"), "ca": str(folder / "ca.pem")}
            print(json.dumps(told), flush=True)
            sys.stdin.read()


main()
