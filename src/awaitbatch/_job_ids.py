"""What can be the id of a job; it takes no package to know that."""

from __future__ import annotations

import re
from collections.abc import Mapping

from awaitbatch._core.text import shown
from awaitbatch.errors import InvalidJobIdError

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(?:[:#][0-9]{1,9})?", re.ASCII)
_JOB_ARN = re.compile(r"arn:[a-z0-9-]+:batch:[a-z0-9-]+:[0-9]{12}:job/(?P<job_id>.+)", re.ASCII)


def is_one_job(given: object) -> bool:
    """Whether it is one job where ids of many are meant: its id, or what SubmitJob or DescribeJobs say of it."""
    return isinstance(given, str | bytes) or (isinstance(given, Mapping) and "jobId" in given)


def parse_job_id(job_id: object) -> str:
    """Reduce a job's id or ARN to the id that DescribeJobs takes, as an exact str, or refuse it.

    Ids are ``[A-Za-z0-9_-]{1,128}``, with ``:n`` for a child of an array job and ``#n`` for a node of a
    multi-node parallel job.

    Raises:
        InvalidJobIdError: It cannot be a job's id. One malformed id makes AWS refuse a whole call.
    """
    if not isinstance(job_id, str):
        message = f"a job id must be a str, not {type(job_id).__name__}: {shown(job_id)}"
        raise InvalidJobIdError(message)
    # A subclass may compare, hash and slice as it likes, which must hurt no other job.
    job_id = str.__str__(job_id)
    if _JOB_ID.fullmatch(job_id):
        # As almost always; no ARN does.
        return job_id
    arn = _JOB_ARN.fullmatch(job_id)
    bare = arn["job_id"] if arn else job_id
    if not _JOB_ID.fullmatch(bare):
        hint = "; pass one id, or a list of ids to describe_jobs" if "," in bare else ""
        if ":service-job/" in bare:
            hint = "; DescribeJobs knows no service jobs, so ask for one with DescribeServiceJob"
        message = (
            f"not an AWS Batch job id: {shown(job_id)} (expected at most 128 letters, digits, '-' and '_', "
            f"optionally followed by ':n' or '#n', or the ARN of a job{hint})"
        )
        raise InvalidJobIdError(message)
    return bare
