"""The whole of template.yaml, deployed to an emulator of AWS that enforces permissions, with the functions as built.

`make deployed` runs it. What only a deployment can show is shown here: that the template's pieces find each other, that
a function can do its work with the permissions of its role and not without any one of them, that partitions can be
uploaded again, and that a message nobody can read ends in the dead letters. What the figures must be is tested in
`tests/all`, by the same handlers.

MiniStack asks for the permissions of whoever calls it: of the functions, and of the API's callers. It does not ask
where it calls something itself, so the queues' policies, the schedule's role, and what Lambda does in a function's name
are not shown here. Nor is that the bucket refuses a function any write that is not create-only: that condition key is
unknown to it.
"""

import json
import re
import sqlite3
import subprocess
import tempfile
import unittest
from datetime import UTC, datetime
from pathlib import Path

from botocore.credentials import Credentials
from emulator import MiniStack
from lossy import LossyWay
from permissions import Role
from stack import BINARIES, NAME, ROOT, Failed, Stack, binary, functions, template, wait_until

ANNOTATORS = {"AnnotateClassify": "classify", "AnnotateScope": "scope", "AnnotateAutomation": "automation"}
WORKERS = [*ANNOTATORS, "Aggregate"]
QUEUES = [f"{function}Queue" for function in WORKERS]
DEAD_LETTERS = [f"{function}DeadLetters" for function in ["Intake", *WORKERS]]


class Deployed(unittest.TestCase):
    """One stack for all tests, over the demo organisation, worked out once. Each test leaves it idle and whole."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="wastewalk-")
        cls.addClassCleanup(folder.cleanup)
        path = Path(folder.name)
        demo = path / "demo"
        up = [BINARIES / "wastewalk", "up", "--once", "--quiet", "--data", demo]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        cls.source = demo / "demo.sqlite"
        cls.emulator = MiniStack(path)
        cls.addClassCleanup(cls.emulator.stop)
        cls.stack = Stack(cls.emulator, path, f"sqlite://{cls.source}")
        cls.work_out_everything()

    @classmethod
    def work_out_everything(cls):
        """Lets the schedule's own target fire once and now, and waits until the API shows every day."""
        scheduler = cls.emulator.client("scheduler")
        hourly = scheduler.get_schedule(Name=f"{NAME}-intake")
        scheduler.create_schedule(
            Name=f"{NAME}-now",
            ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=hourly["FlexibleTimeWindow"],
            Target=hourly["Target"],
        )
        # A run's record is the last that it writes.
        wait_until(lambda: cls.stack.keys("runs/"), "the schedule has run intake")
        cls.bases = {day_of(key): key for key in cls.stack.keys("activities/")}
        cls.days = list(cls.bases)

        def shown() -> int:
            answer = cls.stack.json("/v1/insights", **{"from": "2026-01-01", "to": "2027-01-01"})
            return answer["selection"]["days_captured"]

        wait_until(lambda: shown() == len(cls.days), "the API shows every captured day")
        cls.stack.wait_until_idle(QUEUES)

    def tearDown(self):
        self.stack.wait_until_idle(QUEUES)
        for queue in DEAD_LETTERS:
            self.assertEqual(self.stack.messages(queue), 0, f"{queue} is not empty")

    def annotations(self, day: str, annotator: str = "") -> list[str]:
        """The keys of a day's annotations, of one annotator or of all."""
        return [key for key in self.stack.keys(f"annotations/date={day}/") if f"/annotator={annotator}" in key]

    def take_dead_letter(self, function: str) -> str:
        """Waits for the one dead letter of a function and takes it away."""
        sqs, queue = self.emulator.client("sqs"), f"{function}DeadLetters"
        wait_until(lambda: self.stack.messages(queue), f"there is a message in {queue}")
        [message] = sqs.receive_message(QueueUrl=self.stack.ids[queue], MaxNumberOfMessages=10)["Messages"]
        sqs.delete_message(QueueUrl=self.stack.ids[queue], ReceiptHandle=message["ReceiptHandle"])
        return message["Body"]

    def test_the_reference_case_is_read_through_the_deployed_api(self):
        answer = self.stack.json("/v1/insights", scope="team:1")
        self.assertEqual(answer["selection"]["name"], "Platform")
        [automatable] = [insight for insight in answer["insights"] if insight["id"] == "automatable"]
        self.assertEqual(automatable["hours_per_sprint"]["value"], 147.2)
        self.assertEqual(automatable["ratio"], 0.23)
        status, page = self.stack.get("/")
        self.assertEqual(status, 200)
        self.assertIn("147.2 h a sprint automatable (23 %)", page)

    def test_the_api_answers_only_a_caller_of_the_account_who_may_ask(self):
        iam = self.emulator.client("iam")
        user = {"UserName": "reader"}
        iam.create_user(**user)
        key = iam.create_access_key(**user)["AccessKey"]
        reader = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        forged = Credentials(key["AccessKeyId"], "another secret")
        for path in ["/", "/v1/health"]:
            self.assertEqual(self.stack.get(path, None)[0], 403, "not signed")
            self.assertEqual(self.stack.get(path, reader)[0], 403, "not permitted")
        allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_user_policy(**user, PolicyName="ask", PolicyDocument=policy)
        for path in ["/", "/v1/health"]:
            self.assertEqual(self.stack.get(path, forged)[0], 403, "signed with another secret")
            self.assertEqual(self.stack.get(path, reader)[0], 200, "signed and permitted")

    def test_a_partition_that_is_uploaded_again_is_worked_out_again_to_the_same_bytes(self):
        day = self.days[3]
        annotations, pointer = self.stack.bytes(self.annotations(day)), self.stack.pointer(day)
        self.assertEqual(len(annotations), len(ANNOTATORS))
        self.stack.lose(list(annotations))
        self.stack.lose_pointer(day)
        self.assertEqual((self.annotations(day), self.stack.pointer(day)), ([], None))
        # As README.md says under "Reprocess".
        activities = f"s3://{self.stack.bucket}/activities/"
        self.emulator.aws(
            *("s3", "cp", "--recursive", "--metadata-directive", "REPLACE"),
            *("--exclude", "*", "--include", f"date={day}/*", activities, activities),
        )
        wait_until(lambda: self.stack.pointer(day), f"{day} is shown again")
        self.assertEqual(self.stack.bytes(self.annotations(day)), annotations)
        self.assertEqual(self.stack.pointer(day), pointer)

    def test_a_message_that_is_no_event_goes_to_the_dead_letters_and_its_neighbours_pass(self):
        sqs = self.emulator.client("sqs")
        poison = {function: f"no event at all, {function}" for function in WORKERS}
        neighbours = dict(zip(WORKERS, [self.days[10:12], self.days[12:14], self.days[14:16], self.days[16:18]]))
        annotations = {}
        for function, annotator in ANNOTATORS.items():
            for day in neighbours[function]:
                annotations |= self.stack.bytes(self.annotations(day, annotator))
        self.assertEqual(len(annotations), 6)
        self.stack.lose(list(annotations))
        for day in neighbours["Aggregate"]:
            self.stack.lose_pointer(day)
        for function in WORKERS:
            queue = self.stack.ids[f"{function}Queue"]
            slow = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
            self.addCleanup(sqs.set_queue_attributes, QueueUrl=queue, Attributes=slow)
            before, after = (self.stack.object_created(self.bases[day]) for day in neighbours[function])
            bodies = [before, poison[function], after]
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
            sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        for function in WORKERS:
            self.assertEqual(self.take_dead_letter(function), poison[function])
        self.assertEqual(self.stack.bytes(list(annotations)), annotations)
        for day in neighbours["Aggregate"]:
            self.assertIsNotNone(self.stack.pointer(day), day)

    def test_a_run_that_fails_is_kept_in_the_dead_letters_and_not_repeated(self):
        role = self.role("Intake")
        [grant] = [grant for grant in role.grants if grant.action == "dynamodb:GetItem"]
        with role.without(grant):
            self.emulator.client("lambda").invoke(FunctionName=self.stack.ids["Intake"], InvocationType="Event")
            self.assertIn("the intake lease could not be read", self.take_dead_letter("Intake"))

    def test_intake_needs_each_of_its_permissions(self):
        lambdas, name = self.emulator.client("lambda"), self.stack.ids["Intake"]
        deployed = lambdas.get_function_configuration(FunctionName=name)["Environment"]
        self.addCleanup(lambdas.update_function_configuration, FunctionName=name, Environment=deployed)
        with LossyWay(self.emulator.endpoint) as way:
            # An object whose PUT was not answered is read to see whether it is ours: that is what intake reads S3 for.
            variables = deployed["Variables"] | {"AWS_ENDPOINT_URL_S3": way.endpoint}
            lambdas.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

            def work():
                way.lost.clear()
                self.change_the_source()
                self.stack.invoke("Intake", {})
                self.assertEqual(way.lost, {"activities", "dimensions", "quarantine", "runs"})

            self.assert_each_permission_is_needed("Intake", work)

    def change_the_source(self):
        """Changes another team than the reference case's, such that intake must write all that it can write."""
        with sqlite3.connect(self.source) as source:
            [(person,)] = source.execute("SELECT min(id) FROM users WHERE team_id = 2")
            source.execute("UPDATE users SET name = name || '+' WHERE id = ?", [person])
            columns = "user_id, sprint_id, {}, started_at, duration, in_sprint, rating, note, created_at, updated_at"
            for stereotype in ["stereotype_code", "'nobody knows'"]:
                source.execute(
                    f"INSERT INTO activities ({columns.format('stereotype_code')}) SELECT {columns.format(stereotype)}"
                    " FROM activities WHERE id = (SELECT min(id) FROM activities WHERE user_id = ?)",
                    [person],
                )
        source.close()

    def test_annotators_need_each_of_their_permissions(self):
        # Done again for a day that has its annotation: what is there is found by create-only, and read to compare.
        event = batch(self.stack.object_created(self.bases[self.days[20]]))
        for function in ANNOTATORS:
            self.assert_each_permission_is_needed(function, lambda: self.stack.invoke(function, event))

    def test_aggregate_needs_each_of_its_permissions(self):
        day = self.days[21]
        event = batch(self.stack.object_created(self.annotations(day, "scope")[0]))

        def work():
            self.stack.lose_pointer(day)
            self.stack.invoke("Aggregate", event)
            self.assertIsNotNone(self.stack.pointer(day))

        self.assert_each_permission_is_needed("Aggregate", work)

    def test_the_api_needs_each_of_its_permissions(self):
        lambdas, name = self.emulator.client("lambda"), self.stack.ids["Api"]
        deployed = lambdas.get_function_configuration(FunctionName=name)["Environment"]

        def work():
            # Configuring a function starts it afresh: it knows no names from an earlier request.
            lambdas.update_function_configuration(FunctionName=name, Environment=deployed)
            status, body = self.stack.get("/")
            if status != 200:
                raise Failed(f"{status}: {body}")

        self.assert_each_permission_is_needed("Api", work)

    def role(self, function: str) -> Role:
        """The role of a function."""
        return Role(self.emulator.client("iam"), self.stack.ids[f"{function}Role"])

    def assert_each_permission_is_needed(self, function: str, work):
        """Shows that `work` can be done with what the role grants, and not if any one grant is missing."""
        role, used_by_lambda = self.role(function), self.used_by_lambda(function)
        work()
        for grant in role.grants:
            with self.subTest(function=function, without=str(grant)):
                if (grant.action, grant.resource) in used_by_lambda:
                    continue
                with role.without(grant), self.assertRaises(Failed):
                    work()
        work()

    def used_by_lambda(self, function: str) -> set[tuple[str, str]]:
        """Actions, with their resources, that Lambda itself does in the function's name. MiniStack does them without
        asking for permission, so all that can be shown is that they are for what the function's configuration names."""
        lambdas, name = self.emulator.client("lambda"), self.stack.ids[function]
        group = lambdas.get_function_configuration(FunctionName=name)["LoggingConfig"]["LogGroup"]
        [log] = self.emulator.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        used = {(action, log["arn"]) for action in ["logs:CreateLogStream", "logs:PutLogEvents"]}
        for mapping in lambdas.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]:
                used.add((action, mapping["EventSourceArn"]))
        for config in lambdas.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]:
            used.add(("sqs:SendMessage", config["DestinationConfig"]["OnFailure"]["Destination"]))
        return used

    def test_the_protected_lake_refuses_plain_http(self):
        self.stack.change(ProtectLake="true")
        self.addCleanup(self.stack.change, ProtectLake="false")
        policy = json.loads(self.emulator.client("s3").get_bucket_policy(Bucket=self.stack.bucket)["Policy"])
        self.assertEqual([it["Sid"] for it in policy["Statement"]], ["TlsOnly", "FunctionsCreateOnly"])
        with self.assertRaisesRegex(Failed, "explicit deny in a resource-based policy"):
            self.stack.invoke("Intake", {})


class Template(unittest.TestCase):
    """What can be said of template.yaml without deploying it."""

    # The variables that a line of code reads through `shared`.
    THROUGH_SHARED = {
        r"telemetry::init\(\)": {"RUST_LOG"},
        r"\.lake\(\)": {"LAKE_BUCKET"},
        r"\.contributions\(\)": {"TABLE_NAME"},
        r"annotator::serve\(": {"RUST_LOG", "LAKE_BUCKET"},
    }

    def test_the_environment_of_each_function_is_what_its_code_reads(self):
        of_all = set(template()["Globals"]["Function"]["Environment"]["Variables"])
        for name, function in functions(template()).items():
            given = of_all | set(function["Properties"]["Environment"]["Variables"])
            code = rust(ROOT / "functions" / binary(function) / "src")
            through_shared = [variables for line, variables in self.THROUGH_SHARED.items() if re.search(line, code)]
            self.assertEqual(given, variables_in(code).union(*through_shared), name)

    def test_what_is_read_through_shared_is_known_here(self):
        # Logging reads its variable by the name that the crate for it has chosen.
        known = set().union(*self.THROUGH_SHARED.values()) - {"RUST_LOG"}
        self.assertEqual(variables_in(rust(ROOT / "shared/src")), known)


def rust(folder: Path) -> str:
    """All Rust code in a folder."""
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.rs")))


def variables_in(code: str) -> set[str]:
    """The environment variables that code names where it reads them, but for those that are the AWS SDK's own."""
    return set(re.findall(r'\b(?:variable|env::var|env::var_os)\("(?!AWS_)([A-Z_]+)"\)', code))


def batch(body: str) -> dict:
    """A batch of one message, as Lambda gives it to a function."""
    return {"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": body}]}


def day_of(key: str) -> str:
    """The day in a key."""
    return re.search(r"/date=([0-9-]+)/", key)[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
