"""MiniStack, an emulator of AWS, as a process of its own with nothing of ours in its environment."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "us-east-1"
# The emulator's root user, who may do everything: the operator in these tests.
OPERATOR = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
TOOLS = Path(sys.executable).parent


class MiniStack:
    """Starts in `folder`, on a free port of the loopback interface, with permissions enforced."""

    def __init__(self, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        home, temporary = folder / "home", folder / "tmp"
        home.mkdir()
        temporary.mkdir()
        # Functions inherit this, so it is all there is: what a function needs beside it must be in the template.
        self.environment = {
            **OPERATOR,
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "PATH": "/usr/bin:/bin",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
        }
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        self.log = folder / "ministack.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [TOOLS / "ministack"],
                env=self.environment | settings,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # However these tests end, it does not outlive them. unittest lets Ctrl-C through, so SIGTERM acts like it.
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._wait_until_healthy()

    def _wait_until_healthy(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2).close()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise RuntimeError(f"MiniStack did not start:\n{self.log.read_text()}")

    def stop(self):
        """Ends it and the functions that it started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        atexit.unregister(self.stop)

    def client(self, service: str):
        """A client of `service`, as the operator. Names of S3 buckets go into the path: there is one host."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=OPERATOR["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=OPERATOR["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, read_timeout=120, retries={"total_max_attempts": 1}),
        )

    def aws(self, *arguments: str):
        """Runs the AWS CLI, as the operator."""
        command = [TOOLS / "aws", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"aws {' '.join(arguments)}: {done.stderr}\n{done.stdout}")
