"""The account and the region in which everything lies."""

from __future__ import annotations

from typing import NamedTuple


class Account(NamedTuple):
    """An account in one region, which gives every ARN its form."""

    region_name: str
    account_id: str

    def arn(self, kind: str, name: str, service: str = "batch") -> str:
        """The ARN of a resource; a name that is an ARN already stays as it is."""
        if name.startswith("arn:"):
            return name
        return f"arn:aws:{service}:{self.region_name}:{self.account_id}:{kind}/{name}"

    def role_arn(self, name: str) -> str:
        """The ARN of a role; roles belong to no region."""
        return f"arn:aws:iam::{self.account_id}:role/{name}"

    def job_definition_arn(self, name: str) -> str:
        """The ARN of a job definition; without a revision it is the first."""
        return self.arn("job-definition", name if ":" in name else f"{name}:1")
