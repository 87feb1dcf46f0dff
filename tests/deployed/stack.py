"""template.yaml as a deployed stack: its functions, queues, bucket, table and address."""

import http.client
import json
import subprocess
import time
import zipfile
from email.message import Message
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

from awscli.customizations.cloudformation.yamlhelper import yaml_dump, yaml_parse
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from emulator import OPERATOR, REGION, MiniStack

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target/debug"
NAME = "wastewalk-test"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
ARTIFACTS = "artifacts"
CREDENTIALS = Credentials(*OPERATOR.values())


def template() -> dict:
    """template.yaml, with the short forms of its functions (`!Ref x`) as long ones."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def of_type(of: dict, kind: str) -> dict[str, dict]:
    """The resources of a template that are of one kind, by logical id."""
    return {name: it for name, it in of["Resources"].items() if it["Type"] == kind}


def functions(of: dict) -> dict[str, dict]:
    """The functions of a template, by logical id."""
    return of_type(of, "AWS::Serverless::Function")


def binary(function: dict) -> str:
    """The binary that a function of the template runs."""
    return function["Metadata"]["BuildProperties"]["Binary"]


class Stack:
    """Packages the built binaries, deploys them with a copy of the template and gives the HTTP API its routes."""

    def __init__(self, emulator: MiniStack, folder: Path, **parameters: str):
        self.emulator = emulator
        self.packaged = folder / "packaged.yaml"
        self._package(folder)
        # The emulator is reached over plain HTTP, which the bucket policy rightly refuses; and it does not know the
        # condition key s3:if-none-match. `test_the_protected_lake_refuses_plain_http` deploys the policy all the same.
        self._deploy(ProtectLake="false", **parameters)
        described = emulator.client("cloudformation").describe_stack_resources(StackName=NAME)
        self.ids = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in described["StackResources"]}
        self.bucket, self.table = self.ids["LakeBucket"], self.ids["Table"]
        self._make_limits_numbers()

    def _package(self, folder: Path):
        """What `sam build` and `sam package` do, with binaries that Cargo built already."""
        copy = template()
        for function in functions(copy).values():
            bootstrap = folder / binary(function) / "bootstrap"
            bootstrap.parent.mkdir()
            subprocess.run(["strip", "-o", bootstrap, BINARIES / binary(function)], check=True)
            code = bootstrap.with_suffix(".zip")
            with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(bootstrap, bootstrap.name)
            function["Properties"]["CodeUri"] = str(code)
        built = folder / "built.yaml"
        built.write_text(yaml_dump(copy))
        self.emulator.client("s3").create_bucket(Bucket=ARTIFACTS)
        self.emulator.aws(
            *("cloudformation", "package", "--template-file", str(built)),
            *("--s3-bucket", ARTIFACTS, "--output-template-file", str(self.packaged)),
        )

    def _deploy(self, **parameters: str):
        self.emulator.aws(
            *("cloudformation", "deploy", "--stack-name", NAME, "--template-file", str(self.packaged)),
            # A template of this size is handed over in a bucket, as SAM does it.
            *("--s3-bucket", ARTIFACTS, "--capabilities", *CAPABILITIES, "--parameter-overrides"),
            *(f"{name}={value}" for name, value in parameters.items()),
        )

    def change(self, **parameters: str):
        """Updates the stack to other parameters. Not with `aws cloudformation deploy`: MiniStack's change sets do not
        see what a condition adds or removes."""
        cloudformation = self.emulator.client("cloudformation")
        [stack] = cloudformation.describe_stacks(StackName=NAME)["Stacks"]
        kept = [it["ParameterKey"] for it in stack["Parameters"] if it["ParameterKey"] not in parameters]
        cloudformation.update_stack(
            StackName=NAME,
            UsePreviousTemplate=True,
            Capabilities=CAPABILITIES,
            Parameters=[
                *({"ParameterKey": name, "UsePreviousValue": True} for name in kept),
                *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
            ],
        )
        cloudformation.get_waiter("stack_update_complete").wait(StackName=NAME, WaiterConfig={"Delay": 1})

    def _make_limits_numbers(self):
        """CloudFormation makes a number of a parameter where a property wants one. MiniStack leaves it a text, at which
        its poller stumbles."""
        lambdas = self.emulator.client("lambda")
        for mapping in lambdas.list_event_source_mappings()["EventSourceMappings"]:
            limit = int(mapping["ScalingConfig"]["MaximumConcurrency"])
            lambdas.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": limit})

    def get(self, path: str, credentials: Credentials | None = CREDENTIALS, **query: str) -> tuple[int, str]:
        """Asks the deployed API, signed with `credentials`: the status and the body."""
        status, _, body = self.ask(path, {}, credentials, **query)
        return status, body

    def ask(
        self, path: str, headers: dict[str, str], credentials: Credentials | None = None, **query: str
    ) -> tuple[int, Message, str]:
        """Asks the deployed API with some headers: the status, its own headers and the body."""
        host = f"{self.ids['HttpApi']}.execute-api.localhost:{self.emulator.port}"
        target = f"{path}?{urlencode(query)}" if query else path
        request = AWSRequest("GET", f"http://{host}{target}", headers={"Host": host, **headers})
        if credentials:
            SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator.port, timeout=60)
        try:
            connection.request("GET", target, headers=dict(request.headers.items()))
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def json(self, path: str, **query: str) -> dict:
        """Asks for JSON that must be there."""
        status, body = self.get(path, **query)
        if status != 200:
            raise RuntimeError(f"{path} {query} answered {status}: {body}")
        return json.loads(body)

    def invoke(self, function: str, event: dict) -> dict:
        """Invokes a function and waits for its answer.

        Raises `Failed` if it fails, or hands back a message of a batch as failed."""
        invoked = self.emulator.client("lambda").invoke(FunctionName=self.ids[function], Payload=json.dumps(event))
        answer = json.loads(invoked["Payload"].read())
        if "FunctionError" in invoked or answer.get("batchItemFailures"):
            raise Failed(f"{function}: {answer}")
        return answer

    def keys(self, prefix: str) -> list[str]:
        """The keys of every object under `prefix`, in order."""
        pages = self.emulator.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [it["Key"] for page in pages for it in page.get("Contents", [])]

    def bytes(self, keys: list[str]) -> dict[str, bytes]:
        """Objects of the lake, by key."""
        s3 = self.emulator.client("s3")
        return {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def lose(self, keys: list[str]):
        """Deletes objects of the lake."""
        s3 = self.emulator.client("s3")
        for key in keys:
            s3.delete_object(Bucket=self.bucket, Key=key)

    def object_created(self, key: str) -> str:
        """The event that announces an object, as a queue carries it."""
        detail = {"bucket": {"name": self.bucket}, "object": {"key": key}}
        return json.dumps({"source": "wastewalk", "detail-type": "Object Created", "detail": detail})

    @cached_property
    def logic(self) -> str:
        """The logic that the deployed functions have."""
        return self.json("/v1/insights")["logic"]

    def _pointer_key(self, day: str) -> dict:
        return {"pk": {"S": f"pointer#{self.logic}"}, "sk": {"S": day}}

    def pointer(self, day: str) -> dict | None:
        """The item that says which generation of a day the table shows."""
        dynamodb = self.emulator.client("dynamodb")
        return dynamodb.get_item(TableName=self.table, Key=self._pointer_key(day), ConsistentRead=True).get("Item")

    def lose_pointer(self, day: str):
        """Deletes that item: the day is not shown any more."""
        self.emulator.client("dynamodb").delete_item(TableName=self.table, Key=self._pointer_key(day))

    def shown(self, day: str) -> str | None:
        """The generation of a day that the table shows."""
        pointer = self.pointer(day)
        return pointer and pointer["generation"]["S"]

    @property
    def _watermark_key(self) -> dict:
        return {"pk": {"S": "reconciler"}, "sk": {"S": f"watermark#{self.logic}"}}

    def watermark(self) -> str | None:
        """The newest generation up to which the reconciler has seen everything done."""
        dynamodb = self.emulator.client("dynamodb")
        item = dynamodb.get_item(TableName=self.table, Key=self._watermark_key, ConsistentRead=True).get("Item")
        return item and item["generation"]["S"]

    def lose_watermark(self):
        """Deletes that item."""
        self.emulator.client("dynamodb").delete_item(TableName=self.table, Key=self._watermark_key)

    def messages(self, queue: str) -> int:
        """How many messages a queue holds, visible or in work."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.emulator.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=self.ids[queue], AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def wait_until_idle(self, queues: list[str]):
        """Waits until the queues have been empty for a second."""
        empty_since = time.monotonic()

        def idle():
            nonlocal empty_since
            if any(self.messages(queue) for queue in queues):
                empty_since = time.monotonic()
            return time.monotonic() - empty_since > 1

        wait_until(idle, "the queues are empty")


class Failed(Exception):
    """A function failed."""


def wait_until(holds, what: str, seconds: float = 120):
    """Waits until `holds()` is true."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s it is still not so that {what}")
        time.sleep(0.2)
