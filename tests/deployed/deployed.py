"""The whole of template.yaml, deployed to an emulator of AWS that enforces permissions, with the functions as built.

`make deployed` runs it. What only a deployment can show is shown here: that the template's pieces find each other, that
a function can do its work with the permissions of its role and not without any one of them, that partitions can be
uploaded again, that lost events are found by the reconciler, and that a message nobody can read ends in the dead
letters. What the figures must be is tested in `tests/all`, by the same handlers.

MiniStack asks for the permissions of whoever calls it: of the functions, and of the API's callers. It does not ask
where it calls something itself, so the queues' policies, the schedule's role, and what Lambda does in a function's name
are not shown here. Nor is that the bucket refuses a function any write that is not create-only: that condition key is
unknown to it.
"""

import json
import re
import subprocess
import tempfile
import unittest
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote_plus, urlsplit

from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa
from emulator import MiniStack
from lossy import LossyWay
from permissions import Role
from provider import AUDIENCE, CLIENT, SECRET, Provider
from source import Source
from stack import BINARIES, NAME, Failed, Stack, binary, functions, template, wait_until

# The function of each annotator, and the annotator's name.
ANNOTATORS = {
    name: binary(function).removeprefix("annotate-")
    for name, function in functions(template()).items()
    if binary(function).startswith("annotate-")
}
WORKERS = [*ANNOTATORS, "Aggregate"]
QUEUES = [f"{function}Queue" for function in WORKERS]
DEAD_LETTERS = [f"{function}DeadLetters" for function in ["Intake", "Reconcile", *WORKERS]]


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
        cls.source = Source(demo / "demo.sqlite")
        cls.addClassCleanup(cls.source.stop)
        cls.emulator = MiniStack(path)
        cls.addClassCleanup(cls.emulator.stop)
        source = cls.source.parameters(cls.emulator.client("secretsmanager"))
        cls.stack = Stack(cls.emulator, path, **source, OrganisationTimeZone="Europe/Berlin")
        cls.work_out_everything()

    @classmethod
    def work_out_everything(cls):
        """Lets intake's schedule fire, and waits until the API shows every day."""
        cls.fire("intake")
        # A run's record is the last that it writes.
        wait_until(lambda: cls.stack.keys("runs/"), "the schedule has run intake")
        cls.bases = {day_of(key): key for key in cls.stack.keys("activities/")}
        cls.days = list(cls.bases)

        def shown() -> int:
            answer = cls.stack.json("/v1/insights", **{"from": "2026-01-01", "to": "2027-01-01"})
            return answer["selection"]["days_captured"]

        wait_until(lambda: shown() == len(cls.days), "the API shows every captured day")
        cls.stack.wait_until_idle(QUEUES)

    @classmethod
    def fire(cls, name: str, **target: str):
        """Lets the target of a schedule fire once and now, with something else in it."""
        scheduler = cls.emulator.client("scheduler")
        declared = scheduler.get_schedule(Name=f"{NAME}-{name}")
        scheduler.create_schedule(
            Name=f"{NAME}-{name}-now",
            ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=declared["FlexibleTimeWindow"],
            Target=declared["Target"] | target,
            ActionAfterCompletion="DELETE",
        )

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
        # One day of it, from the lake: 23 % of eight people's eight hours.
        day = {"from": self.days[5], "to": self.days[6], "limit": "1000"}
        behind = self.stack.json("/v1/insights/automatable/activities", scope="team:1", **day)
        self.assertEqual(sum(activity["value"] for activity in behind["activities"]), 52_992)

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

    def test_the_operators_commands_find_a_deployment_and_its_settings_by_the_name_of_its_stack(self):
        def said(*command: str) -> str:
            # No setting is repeated: by another time zone it would be another logic, and nothing would be there.
            ran = subprocess.run(
                [BINARIES / "wastewalk", *command, "--stack", NAME],
                env=self.emulator.environment,
                capture_output=True,
                text=True,
            )
            self.assertEqual(ran.returncode, 0, ran.stderr)
            return ran.stdout

        self.assertIn(f"Nothing to do: {len(self.days)} days are there", said("rewind", "--dry-run"))
        self.assertEqual(said("retain", "--dry-run"), "0 superseded generations would be forgotten.\n")
        before = self.stack.keys("")
        rehearsed = json.loads(said("intake", "--dry-run", "--source", self.source.url, "--format", "json"))
        self.assertEqual(set(rehearsed["days"]), set(self.days))
        sums = {kind: sum(day[kind] for day in rehearsed["days"].values()) for kind in rehearsed["days"][self.days[0]]}
        # The source is the last run's.
        quarantined = self.stack.json("/v1/health")["last_run"]["quarantined"]
        unchanged = sums.pop("unchanged")
        self.assertEqual(sums, {"new": 0, "changed": 0, "gone": 0, "rejected": quarantined})
        self.assertGreaterEqual((unchanged, rehearsed["open"]), (12_534, 1))
        self.assertEqual(self.stack.keys(""), before)

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
        neighbours = {function: self.days[10 + 2 * index :][:2] for index, function in enumerate(WORKERS)}
        annotations = {}
        for function, annotator in ANNOTATORS.items():
            for day in neighbours[function]:
                annotations |= self.stack.bytes(self.annotations(day, annotator))
        self.assertEqual(len(annotations), 2 * len(ANNOTATORS))
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
        person = "(SELECT min(id) FROM users WHERE team_id = 2)"
        columns = "user_id, sprint_id, {}, started_at, duration, in_sprint, rating, note, created_at"
        # The source keeps its cursor, by which the next run finds the row.
        once_more = (
            f"INSERT INTO activities (id, {columns.format('stereotype_code')}, updated_at)"
            f" SELECT (SELECT max(id) + 1 FROM activities), {columns}, now()"
            f" FROM activities WHERE id = (SELECT min(id) FROM activities WHERE user_id = {person})"
        )
        self.source.execute(
            f"UPDATE users SET name = name || '+' WHERE id = {person}",
            once_more.format("stereotype_code"),
            once_more.format("'nobody knows'"),
        )

    def capture_a_change(self) -> dict[str, str]:
        """Changes the source and runs intake: the days that it captured again, with their new generation."""
        known = set(self.stack.keys("activities/"))
        self.change_the_source()
        self.stack.invoke("Intake", {})
        captured = {day_of(key): generation_of(key) for key in set(self.stack.keys("activities/")) - known}
        self.assertTrue(captured)
        return captured

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
            # A figure, the activities behind it, and a question for which the generations in the lake are listed.
            asked = [("/", {}), ("/v1/insights/automatable/activities", {"limit": "1"})]
            asked.append(("/v1/insights", {"as_of": "2100-01-01T00:00:00Z"}))
            for path, query in asked:
                status, body = self.stack.get(path, **query)
                if status != 200:
                    raise Failed(f"{path}: {status}: {body}")

        self.assert_each_permission_is_needed("Api", work)

    def test_the_reconciler_finds_what_lost_events_left_undone_and_leaves_alone_what_was_done_before(self):
        events, rules = self.emulator.client("events"), [self.stack.ids[f"{function}Rule"] for function in WORKERS]
        for rule in rules:
            events.disable_rule(Name=rule)
            self.addCleanup(events.enable_rule, Name=rule)
        lost = self.capture_a_change()
        for rule in rules:
            events.enable_rule(Name=rule)
        self.stack.wait_until_idle(QUEUES)
        for day, generation in lost.items():
            self.assertNotEqual(self.stack.shown(day), generation, "the event was not lost: this proves nothing")

        # While intake may still be writing, nothing is looked at.
        self.assertEqual(self.reconcile(minutes=0)["days"], 0)
        # Everything is old enough in an hour; the schedule says what time it is.
        self.fire("reconcile", Input=json.dumps({"time": in_minutes(60)}))
        for day, generation in lost.items():
            wait_until(lambda: self.stack.shown(day) == generation, f"{day} is shown as captured last")
        self.stack.wait_until_idle(QUEUES)
        # What it had found undone kept its watermark back until it was done.
        newest = max(lost.values())
        self.assertLess(self.stack.watermark() or "", newest)
        self.assertEqual(self.reconcile(minutes=60)["undone"], 0)
        self.assertEqual(self.stack.watermark(), newest)

        # A day that it knows to have been done has no pointer, as under a new logic: that is for a person to decide.
        day = self.days[5]
        self.stack.lose_pointer(day)
        expected = {"days": 0, "undone": 0, "announced": 0, "watermark": newest, "logic": self.stack.logic}
        self.assertEqual(self.reconcile(minutes=60), expected)
        self.stack.wait_until_idle(QUEUES)
        self.assertIsNone(self.stack.shown(day))
        # With the table its watermark is lost too: everything is looked at.
        self.stack.lose_watermark()
        again = self.reconcile(minutes=60)
        self.assertEqual((again["days"], again["undone"], again["announced"]), (len(self.days), 1, 1))
        wait_until(lambda: self.stack.shown(day), f"{day} is shown again")

    def reconcile(self, minutes: int) -> dict:
        """What the reconciler finds and does some minutes from now."""
        return self.stack.invoke("Reconcile", {"time": in_minutes(minutes)})

    def test_the_reconciler_needs_each_of_its_permissions(self):
        # Of all days this one was captured last, so the watermark moves although it is undone.
        [(day, generation)] = self.capture_a_change().items()
        wait_until(lambda: self.stack.shown(day) == generation, f"{day} is shown as captured last")

        def work():
            # What an earlier try announced would bring the pointer back.
            self.stack.wait_until_idle(QUEUES)
            self.stack.lose_pointer(day)
            self.stack.lose_watermark()
            self.assertEqual(self.reconcile(minutes=60)["announced"], 1)

        self.assert_each_permission_is_needed("Reconcile", work)
        wait_until(lambda: self.stack.shown(day), f"{day} is shown again")

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

    def test_people_sign_in_where_the_deployment_names_a_provider(self):
        provider = Provider()
        self.addCleanup(provider.stop)
        secret = self.emulator.client("secretsmanager").create_secret(Name="wastewalk/client", SecretString=SECRET)
        nobody = {"OidcIssuer": "", "OidcClientId": "", "OidcClientSecretArn": "", "OidcAudience": "", "PublicUrl": ""}
        self.addCleanup(self.stack.change, **nobody)
        # The template takes issuers over HTTPS only; the function also one of its own machine.
        named = {"OidcIssuer": "https://login.example.com", "OidcClientId": CLIENT, "OidcAudience": AUDIENCE}
        home = "https://wastewalk.example.com"
        self.stack.change(**named, OidcClientSecretArn=secret["ARN"], PublicUrl=home)
        lambdas, name = self.emulator.client("lambda"), self.stack.ids["Api"]
        variables = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        environment = {"Variables": variables | {"OIDC_ISSUER": provider.issuer}}

        def status(path: str, token: str, **query: str) -> int:
            return self.stack.ask(path, {"Authorization": f"Bearer {token}"}, **query)[0]

        def work():
            # Configuring a function starts it afresh: it has read no secret.
            lambdas.update_function_configuration(FunctionName=name, Environment=environment)
            self.sign_in(provider, home)

        work()
        given = [unquote_plus(it) for it in self.plain(provider.secrets)]
        self.assertTrue(given and all(SECRET in it for it in given))
        self.assertEqual(self.stack.ask("/v1/insights", {})[0], 401, "nobody")
        member, analyst = provider.token(AUDIENCE, "11", "member"), provider.token(AUDIENCE, "0", "analyst")
        self.assertEqual(status("/v1/insights", member, scope="team:1"), 200)
        self.assertEqual(status("/v1/insights", member, scope="person:11"), 200)
        self.assertEqual(status("/v1/insights", member, scope="person:12"), 403)
        self.assertEqual(status("/v1/insights", analyst, scope="person:12"), 200)
        forged = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.assertEqual(status("/v1/insights", provider.token(AUDIENCE, "0", "analyst", forged)), 401)
        self.assertEqual(status("/v1/insights", provider.token("https://other.example.com", "0", "analyst")), 401)
        self.assertEqual(status("/v1/insights", provider.token(AUDIENCE, "0", "guest")), 403)
        secrets = [it for it in self.role("Api").grants if it.action == "secretsmanager:GetSecretValue"]
        self.assertEqual(len(secrets), 2, "the key of the cookies, and the client's secret")
        self.assert_each_permission_is_needed("Api", work)

    def plain(self, given: list[str]) -> list[str]:
        """Secrets as they were given: in a form, or as Basic."""
        return [b64decode(it.removeprefix("Basic ")).decode() if it.startswith("Basic ") else it for it in given]

    def sign_in(self, provider: Provider, home: str):
        """Signs a member in by the pages. Raises `Failed` if it is not their page that they come back to."""
        status, headers, body = self.stack.ask("/", {}, scope="team:1")
        if status != 303:
            raise Failed(f"{status}: {body}")
        status, headers, body = self.stack.ask(headers["Location"], {})
        at_provider = urlsplit(headers.get("Location") or "")
        if not headers.get("Location", "").startswith(f"{provider.issuer}/authorize?"):
            raise Failed(f"{status}: {body}")
        asked = {key: value for key, [value] in parse_qs(at_provider.query).items()}
        self.assertEqual((asked["client_id"], asked["redirect_uri"]), (CLIENT, f"{home}/sign-in/callback"))
        provider.id_token = provider.token(CLIENT, "11", "member", nonce=asked["nonce"])
        kept = {"Cookie": headers["Set-Cookie"].split(";")[0]}
        status, headers, body = self.stack.ask("/sign-in/callback", kept, code="x", state=asked["state"])
        session = [cookie for cookie in headers.get_all("Set-Cookie", []) if cookie.startswith("__Host-wastewalk=")]
        if not session:
            raise Failed(f"{status}: {body}")
        self.assertIn("Secure", session[0])
        signed_in = {"Cookie": session[0].split(";")[0]}
        status, _, body = self.stack.ask("/", signed_in, scope="team:1")
        if status != 200 or "Signed in as <b>11</b>" not in body:
            raise Failed(f"{status}: {body}")
        asked = [("/v1/insights/automatable/activities", {"limit": "1"})]
        asked.append(("/v1/insights", {"as_of": "2100-01-01T00:00:00Z"}))
        for path, query in asked:
            status, _, body = self.stack.ask(path, signed_in, scope="team:1", **query)
            if status != 200:
                raise Failed(f"{path}: {status}: {body}")

    def test_the_protected_lake_refuses_plain_http(self):
        self.stack.change(ProtectLake="true")
        self.addCleanup(self.stack.change, ProtectLake="false")
        policy = json.loads(self.emulator.client("s3").get_bucket_policy(Bucket=self.stack.bucket)["Policy"])
        self.assertEqual([it["Sid"] for it in policy["Statement"]], ["TlsOnly", "FunctionsCreateOnly"])
        with self.assertRaisesRegex(Failed, "explicit deny in a resource-based policy"):
            self.stack.invoke("Intake", {})


def batch(body: str) -> dict:
    """A batch of one message, as Lambda gives it to a function."""
    return {"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": body}]}


def in_minutes(minutes: int) -> str:
    """A time, as a schedule writes it."""
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def generation_of(key: str) -> str:
    """The generation in a key."""
    return re.search(r"/gen=(\w+)/", key)[1]


def day_of(key: str) -> str:
    """The day in a key."""
    return re.search(r"/date=([0-9-]+)/", key)[1]


if __name__ == "__main__":
    unittest.main(verbosity=2)
