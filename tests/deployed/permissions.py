"""The permissions of a function's role, one by one."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Grant:
    """One action on one resource; under a condition, with one value of it."""

    action: str
    resource: str
    condition: tuple[str, str, str] | None

    def statement(self) -> dict:
        """As a statement of a policy."""
        statement = {"Effect": "Allow", "Action": self.action, "Resource": self.resource}
        if self.condition:
            operator, key, value = self.condition
            statement["Condition"] = {operator: {key: value}}
        return statement

    def __str__(self):
        return " ".join([self.action, self.resource, *(self.condition or ())])


class Role:
    """A role with the one inline policy that the template gives it."""

    def __init__(self, iam, name: str):
        self.iam, self.name = iam, name
        [self.policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
        if iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            raise ValueError(f"{name} has more than its own policy")
        self.document = iam.get_role_policy(RoleName=name, PolicyName=self.policy)["PolicyDocument"]
        self.grants = [grant for statement in self.document["Statement"] for grant in _grants(statement)]

    @contextmanager
    def without(self, grant: Grant):
        """Takes one grant away for a while."""
        rest = [other.statement() for other in self.grants if other != grant]
        self._put({"Version": self.document["Version"], "Statement": rest})
        try:
            yield
        finally:
            self._put(self.document)

    def _put(self, document: dict):
        self.iam.put_role_policy(RoleName=self.name, PolicyName=self.policy, PolicyDocument=json.dumps(document))


def _grants(statement: dict) -> list[Grant]:
    conditions = [
        (operator, key, value)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
        for value in _listed(values)
    ]
    of_one_key = len({(operator, key) for operator, key, _ in conditions}) <= 1
    if statement["Effect"] != "Allow" or not of_one_key:
        raise ValueError(f"not a statement that can be taken apart: {statement}")
    parts = product(_listed(statement["Action"]), _listed(statement["Resource"]), conditions or [None])
    return [Grant(*part) for part in parts]


def _listed(value) -> list:
    return value if isinstance(value, list) else [value]
