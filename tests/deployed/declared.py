"""What can be said of template.yaml without deploying it. `make template` runs it.

That no function can wake itself, that each rule names what its function reads, and that the bucket policy names every
role, is proved in `infra/local/src/template.rs`, where the types of keys and events are.
"""

import re
import shlex
import tomllib
import unittest

from stack import ROOT, binary, functions, of_type, template

TEXT = (ROOT / "template.yaml").read_text()
TEMPLATE = template()
RESOURCES = TEMPLATE["Resources"]


def rust(folder: str) -> str:
    """All Rust code in a folder."""
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*.rs")))


def variables_in(code: str) -> set[str]:
    """The environment variables that code names where it reads them, but for those that are the AWS SDK's own."""
    reads = r'\b(?:(?:variable|optional|env::var|env::var_os)\(|setting\(\s*&?variable,\s*)"(?!AWS_)([A-Z_]+)"'
    return set(re.findall(reads, code))


def name_of(reference: dict) -> str:
    """The logical id in `!Ref x` or `!GetAtt x.Arn`."""
    if "Ref" in reference:
        return reference["Ref"]
    return reference["Fn::GetAtt"][0]


def overrides(environment: dict, step: str) -> dict[str, str]:
    """The parameters that an environment of samconfig.toml sets in a step. SAM itself writes them as one text."""
    written = environment.get(step, {}).get("parameters", {}).get("parameter_overrides", [])
    pairs = shlex.split(written) if isinstance(written, str) else written
    return dict(pair.split("=", 1) for pair in pairs)


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(role: str) -> list[dict]:
    """What a role may, what it may under a condition of the template included."""
    found = []
    for policy in RESOURCES[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            found.append(statement["Fn::If"][1] if "Fn::If" in statement else statement)
    return found


def allowed(role: str, action: str) -> list[dict]:
    """The statements that allow a role an action."""
    return [it for it in statements(role) if it["Effect"] == "Allow" and action in listed(it["Action"])]


def events(kind: str) -> dict[str, dict]:
    """The properties of a kind of event, by the function that it wakes."""
    return {
        name: event["Properties"]
        for name, function in functions(TEMPLATE).items()
        for event in function["Properties"].get("Events", {}).values()
        if event["Type"] == kind
    }


class Environment(unittest.TestCase):
    """A function is given the variables that its code reads."""

    LOGIC = {"ORGANISATION_TIME_ZONE", "GRACE_DAYS", "LONG_GAP_HOURS"}
    # The variables that a line of code reads through `shared`.
    THROUGH_SHARED = {
        r"telemetry::run\(": {"RUST_LOG"},
        r"\.lake\(\)": {"LAKE_BUCKET"},
        r"\.contributions\(\)": {"TABLE_NAME"},
        r"\bLogicSettings::from_env\(\)": LOGIC,
        r"annotator::serve\(": {"RUST_LOG", "LAKE_BUCKET", *LOGIC},
    }

    # What the C library reads.
    OF_GLIBC = {"MALLOC_ARENA_MAX"}

    def test_each_function_is_given_what_it_reads_and_nothing_of_its_own_that_it_does_not(self):
        of_all = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
        for name, function in functions(TEMPLATE).items():
            own = set(function["Properties"]["Environment"]["Variables"]) - self.OF_GLIBC
            code = rust(f"functions/{binary(function)}/src")
            through_shared = [variables for line, variables in self.THROUGH_SHARED.items() if re.search(line, code)]
            read = variables_in(code).union(*through_shared)
            self.assertEqual(own | (of_all & read), read, name)

    def test_what_decides_the_logic_is_the_same_for_all(self):
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        self.assertLess(self.LOGIC, set(variables))
        for name, function in functions(TEMPLATE).items():
            self.assertFalse(self.LOGIC & set(function["Properties"]["Environment"]["Variables"]), name)

    def test_what_is_read_through_shared_is_known_here(self):
        # Logging reads its variable by the name that the crate for it has chosen.
        known = set().union(*self.THROUGH_SHARED.values()) - {"RUST_LOG"}
        self.assertEqual(variables_in(rust("shared/src")), known)


class Completeness(unittest.TestCase):
    """What belongs to a function is there."""

    def test_every_annotator_of_the_logic_register_is_deployed_with_all_that_it_needs(self):
        register = (ROOT / "shared/src/annotator/register.rs").read_text()
        registered = re.findall(r'^ +annotator!\("([a-z-]+)"', register, re.MULTILINE)
        self.assertGreaterEqual(len(registered), 3)
        names = {binary(it): name for name, it in functions(TEMPLATE).items()}
        self.assertEqual({it for it in names if it.startswith("annotate-")}, set(registered))
        for annotator in registered:
            for part in ["Role", "Logs", "Rule", "Queue", "DeadLetters", "QueuePolicy", "DeadLettersPolicy"]:
                self.assertIn(names[annotator] + part, RESOURCES)
            self.assertEqual(name_of(events("SQS")[names[annotator]]["Queue"]), names[annotator] + "Queue")
            [target] = RESOURCES[names[annotator] + "Rule"]["Properties"]["Targets"]
            self.assertEqual(name_of(target["Arn"]), names[annotator] + "Queue")

    def test_every_function_has_a_role_a_log_and_an_example_event_of_its_own(self):
        roles = [name_of(it["Properties"]["Role"]) for it in functions(TEMPLATE).values()]
        self.assertEqual(len(roles), len(set(roles)))
        for name, function in functions(TEMPLATE).items():
            log = name_of(function["Properties"]["LoggingConfig"]["LogGroup"])
            self.assertEqual(log, f"{name}Logs")
            group = RESOURCES[log]["Properties"]["LogGroupName"]["Fn::Sub"]
            self.assertTrue(group.endswith(f"/{binary(function)}"), group)
            [write] = allowed(roles[list(functions(TEMPLATE)).index(name)], "logs:PutLogEvents")
            self.assertEqual(name_of(write["Resource"]), log)
            self.assertTrue((ROOT / f"tests/events/{binary(function)}.json").is_file(), name)

    def test_logs_end_and_data_stays(self):
        for name, log in of_type(TEMPLATE, "AWS::Logs::LogGroup").items():
            self.assertEqual(log["Properties"]["RetentionInDays"], {"Ref": "LogRetentionDays"}, name)
        for kind in ["AWS::S3::Bucket", "AWS::DynamoDB::Table"]:
            for name, store in of_type(TEMPLATE, kind).items():
                self.assertEqual((store["DeletionPolicy"], store["UpdateReplacePolicy"]), ("Retain", "Retain"), name)

    def test_parameters_are_described_used_and_explained(self):
        used = re.findall(r"!Ref (\w+)", TEXT)
        readme = (ROOT / "README.md").read_text()
        for name, parameter in TEMPLATE["Parameters"].items():
            self.assertTrue(parameter.get("Description"), name)
            self.assertIn(name, used)
            default = str(parameter["Default"]) or "empty"
            row = rf"(?m)^\| `{name}` \| `?{re.escape(default)}`? \| "
            self.assertTrue(re.search(row, readme), f"README.md has no row for {name} with its default, {default}")

    def test_environments_set_parameters_that_there_are(self):
        config = tomllib.loads((ROOT / "samconfig.toml").read_text())
        for environment in ["default", "staging", "prod"]:
            deployed, built = (overrides(config[environment], step) for step in ["deploy", "build"])
            self.assertLessEqual(set(deployed), set(TEMPLATE["Parameters"]), environment)
            # A binary for another architecture would be deployed without a word, and never start.
            self.assertEqual(built.get("Architecture"), deployed.get("Architecture"), environment)


class Storage(unittest.TestCase):
    """What is kept is encrypted, private, and not deleted by accident."""

    def test_the_lake(self):
        for name, bucket in of_type(TEMPLATE, "AWS::S3::Bucket").items():
            properties = bucket["Properties"]
            self.assertIn("BucketEncryption", properties, name)
            self.assertEqual(properties["VersioningConfiguration"], {"Status": "Enabled"}, name)
            self.assertEqual(set(properties["PublicAccessBlockConfiguration"].values()), {True}, name)
            self.assertEqual(len(properties["PublicAccessBlockConfiguration"]), 4, name)

    def test_the_table(self):
        for name, table in of_type(TEMPLATE, "AWS::DynamoDB::Table").items():
            properties = table["Properties"]
            self.assertEqual(properties["BillingMode"], "PAY_PER_REQUEST", name)
            self.assertTrue(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], name)
            self.assertTrue(properties["SSESpecification"]["SSEEnabled"], name)
            self.assertTrue(properties["DeletionProtectionEnabled"], name)

    def test_queues_are_encrypted_by_a_key_that_event_bridge_may_use(self):
        for name, queue in of_type(TEMPLATE, "AWS::SQS::Queue").items():
            self.assertIs(queue["Properties"].get("SqsManagedSseEnabled"), True, name)


class Failures(unittest.TestCase):
    """Whatever cannot be delivered or done is kept."""

    def dead_letters(self) -> set[str]:
        """The queues for what failed."""
        return {name for name in of_type(TEMPLATE, "AWS::SQS::Queue") if name.endswith("DeadLetters")}

    def assert_dead_letters(self, config: dict, owner: str):
        self.assertEqual(name_of(config), f"{owner}DeadLetters", owner)
        self.assertIn(f"{owner}DeadLetters", self.dead_letters())

    def test_queues(self):
        for name, queue in of_type(TEMPLATE, "AWS::SQS::Queue").items():
            if name in self.dead_letters():
                # Two weeks, as long as SQS keeps anything.
                self.assertEqual(queue["Properties"]["MessageRetentionPeriod"], 1209600, name)
                self.assertEqual(TEMPLATE["Outputs"][f"{name}Url"]["Value"], {"Ref": name})
                continue
            redrive = queue["Properties"]["RedrivePolicy"]
            self.assert_dead_letters(redrive["deadLetterTargetArn"], name.removesuffix("Queue"))
            self.assertGreaterEqual(redrive["maxReceiveCount"], 3, name)
            self.assertLess(queue["Properties"]["MessageRetentionPeriod"], 1209600, name)

    def test_a_batch_that_is_in_work_is_not_handed_out_again(self):
        for name, event in events("SQS").items():
            timeout = RESOURCES[name]["Properties"]["Timeout"]
            queue = RESOURCES[name_of(event["Queue"])]["Properties"]
            self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * timeout, name)
            self.assertEqual(event["FunctionResponseTypes"], ["ReportBatchItemFailures"], name)

    def test_rules(self):
        rules = of_type(TEMPLATE, "AWS::Events::Rule")
        self.assertEqual(len(rules), len(events("SQS")))
        for name, rule in rules.items():
            for target in rule["Properties"]["Targets"]:
                self.assert_dead_letters(target["DeadLetterConfig"]["Arn"], name.removesuffix("Rule"))

    def test_schedules(self):
        for name, schedule in events("ScheduleV2").items():
            self.assert_dead_letters(schedule["DeadLetterConfig"]["Arn"], name)
            self.assertIn("MaximumRetryAttempts", schedule["RetryPolicy"])
            # Schedules share one name space per account.
            self.assertTrue(schedule["Name"]["Fn::Sub"].startswith("${AWS::StackName}-"), name)
            invoke = RESOURCES[name]["Properties"]["EventInvokeConfig"]
            self.assert_dead_letters(invoke["DestinationConfig"]["OnFailure"]["Destination"], name)
            for role in [name_of(schedule["RoleArn"]), name_of(RESOURCES[name]["Properties"]["Role"])]:
                [send] = allowed(role, "sqs:SendMessage")
                self.assert_dead_letters(send["Resource"], name)

    def test_what_a_rule_feeds_lets_that_rule_in_and_nobody_else(self):
        policies = of_type(TEMPLATE, "AWS::SQS::QueuePolicy").values()
        let_in = {name_of(queue): it["Properties"] for it in policies for queue in it["Properties"]["Queues"]}
        for name, rule in of_type(TEMPLATE, "AWS::Events::Rule").items():
            for target in rule["Properties"]["Targets"]:
                for queue in [name_of(target["Arn"]), name_of(target["DeadLetterConfig"]["Arn"])]:
                    [statement] = let_in.pop(queue)["PolicyDocument"]["Statement"]
                    self.assertEqual(statement["Principal"], {"Service": "events.amazonaws.com"}, queue)
                    self.assertEqual(statement["Action"], "sqs:SendMessage", queue)
                    self.assertEqual(name_of(statement["Resource"]), queue)
                    self.assertEqual(name_of(statement["Condition"]["ArnEquals"]["aws:SourceArn"]), name, queue)
        self.assertEqual(let_in, {})


class Permissions(unittest.TestCase):
    """A role may do what its function does."""

    def test_no_action_has_a_wildcard_and_no_resource_is_everything_without_a_reason(self):
        for role in of_type(TEMPLATE, "AWS::IAM::Role"):
            for statement in statements(role):
                self.assertFalse([it for it in listed(statement["Action"]) if "*" in it], role)
                self.assertNotIn("NotAction", statement)
                self.assertNotIn("NotResource", statement)
        lines = TEXT.splitlines()
        everything = re.compile(r"""^ *(?:Resource: |- )["']?\*["']?$""")
        for before, line in zip(lines, lines[1:]):
            if everything.match(line):
                self.assertRegex(before, r"^ +# \w", f"{line} after {before}")
        flow = re.findall(r"""Resource: \[["'] ?\*.*""", TEXT)
        self.assertEqual(flow, [])

    def test_a_role_trusts_one_service_and_has_policies_of_its_own_only(self):
        for name, role in of_type(TEMPLATE, "AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", role["Properties"], name)
            [trust] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            service = "scheduler" if name.endswith("ScheduleRole") else "lambda"
            self.assertEqual(trust["Principal"], {"Service": f"{service}.amazonaws.com"}, name)
        for kind in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"]:
            self.assertEqual(of_type(TEMPLATE, kind), {})

    # Objects that are read by a name that is known: after a create-only PUT found them there.
    NEVER_PROBED = {("Intake", "runs/*")}

    def test_who_reads_a_prefix_may_list_it(self):
        """Without it S3 answers 403 instead of 404 for what is not there."""
        for name, function in functions(TEMPLATE).items():
            role = name_of(function["Properties"]["Role"])
            read = {
                resource["Fn::Sub"].removeprefix("${LakeBucket.Arn}/")
                for statement in allowed(role, "s3:GetObject")
                for resource in listed(statement["Resource"])
            }
            lists = allowed(role, "s3:ListBucket")
            probed = {prefix for it in lists for prefix in it["Condition"]["StringLike"]["s3:prefix"]}
            self.assertLessEqual({it for it in read if (name, it) not in self.NEVER_PROBED}, probed, name)
            code = rust(f"functions/{binary(function)}/src")
            if re.search(r"\.(list|newest_bases|base)\(|Siblings::find|annotator::serve\(", code):
                self.assertTrue(probed, name)

    def test_each_secret_is_read_by_whoever_needs_it_alone_and_only_if_there_is_one(self):
        readers = {
            (role, name_of(statement["Resource"])): statement
            for role in of_type(TEMPLATE, "AWS::IAM::Role")
            for statement in allowed(role, "secretsmanager:GetSecretValue")
        }
        conditions = {
            ("IntakeRole", "SourceSecretArn"): "SourceHasSecret",
            ("IntakeRole", "PseudonymSecretArn"): "PeopleHavePseudonyms",
            ("ApiRole", "CookieKey"): "PeopleSignIn",
            ("ApiRole", "PseudonymSecretArn"): "MembersHavePseudonyms",
            ("ApiRole", "OidcClientSecretArn"): "ClientHasSecret",
        }
        self.assertEqual(set(readers), set(conditions))
        for (role, secret), statement in readers.items():
            [policy] = RESOURCES[role]["Properties"]["Policies"]
            [condition] = [
                it["Fn::If"][0]
                for it in policy["PolicyDocument"]["Statement"]
                if "Fn::If" in it and it["Fn::If"][1] == statement
            ]
            self.assertEqual(condition, conditions[role, secret], secret)

    def test_what_lambda_does_with_the_network_the_code_of_intake_may_not(self):
        network = [it for it in statements("IntakeRole") if listed(it["Action"])[0].startswith("ec2:")]
        allow, deny = network
        self.assertEqual((allow["Effect"], deny["Effect"]), ("Allow", "Deny"))
        self.assertEqual(allow["Action"], deny["Action"])
        self.assertEqual(deny["Condition"], {"Null": {"lambda:SourceFunctionArn": "false"}})

    def test_what_a_check_is_told_to_skip_has_a_reason(self):
        for name, resource in RESOURCES.items():
            for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
                self.assertRegex(skip["id"], r"^CKV_AWS_\d+$", name)
                self.assertRegex(skip["comment"], r"^[A-Z].{10,}\.$", name)


if __name__ == "__main__":
    unittest.main()
