"""DescribeJobs with nothing but aiohttp, a signature and msgspec: the least that such a call can cost in Python.

It signs as AWS demands (Signature Version 4), reads the whole body and walks it for each job's id, status and attempts.
It has no credentials that renew themselves, no endpoint rules, no events, no retries, and takes any answer for a good
one.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATH: Final = "/v1/describejobs"
_SIGNED: Final = "content-type;host;x-amz-date"
_CONTENT_TYPE: Final = "application/json"


class _Job(msgspec.Struct, gc=False, rename="camel"):
    job_id: str
    status: str
    attempts: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    jobs: list[_Job]


_decode = msgspec.json.Decoder(_Answer).decode


def jobs_in(body: bytes) -> int:
    """How many jobs an answer holds."""
    return len(_decode(body).jobs)


class SignedHttp:
    """A transport that can do nothing but describe jobs, one call at a time."""

    max_connections: Final = 1
    refreshes_credentials: Final = False

    def __init__(
        self, *, endpoint_url: str, region_name: str, aws_access_key_id: str, aws_secret_access_key: str
    ) -> None:
        self.region_name = region_name
        self._url = endpoint_url + _PATH
        self._host = urlsplit(endpoint_url).netloc
        self._access_key = aws_access_key_id
        self._secret_key = aws_secret_access_key
        self._encode = msgspec.json.Encoder().encode
        self._key: tuple[str, bytes] = ("", b"")

    async def open(self) -> None:
        """Open a session of aiohttp."""
        self._session = aiohttp.ClientSession()

    async def aclose(self) -> None:
        """Close it."""
        await self._session.close()

    async def describe_jobs(self, job_ids: Sequence[str]) -> bytes:
        """The body of the answer."""
        body = self._encode({"jobs": job_ids})
        async with self._session.post(self._url, data=body, headers=self._headers(body)) as response:
            return await response.read()

    def _headers(self, body: bytes) -> dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        day = moment[:8]
        scope = f"{day}/{self.region_name}/batch/aws4_request"
        canonical = (
            f"POST\n{_PATH}\n\ncontent-type:{_CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{moment}\n\n{_SIGNED}\n"
            f"{hashlib.sha256(body).hexdigest()}"
        )
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(day), text.encode(), "sha256").hex()
        return {
            "Content-Type": _CONTENT_TYPE,
            "Host": self._host,
            "X-Amz-Date": moment,
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, SignedHeaders={_SIGNED}, "
                f"Signature={signature}"
            ),
        }

    def _key_of(self, day: str) -> bytes:
        """The key with which all requests of a day are signed."""
        if self._key[0] != day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self.region_name, "batch", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return self._key[1]
