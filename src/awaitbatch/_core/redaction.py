"""Secrets, masked in whatever somebody else wrote: by their looks, and those that are known by their value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"

_MOST_CHARACTERS: Final = 10_000
"""Of a text that is longer, the rest is dropped: it would take time, and nobody reads it."""

_LEAST_KEY: Final = 8
"""Shorter keys are a test's, such as ``test``; to mask them would spoil texts that have the word."""
_LEAST_PASSWORD: Final = 4

_PATTERNS: Final = (
    # Name and password in a URL. A password with a slash is told from a port, and the rest bounded for hostile texts.
    (re.compile(r"//[^/\s]*@"), f"//{MASK}@"),
    (re.compile(r"//[^/\s:@]{0,300}:(?!\d{1,5}/)[^\s\"'<>]{0,300}@"), f"//{MASK}@"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}"), MASK),
    (re.compile(r"((?:Credential|Signature)=)[^\s,;&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(x-amz-security-token\W{1,6})[^\s,;&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    # What is named as a secret in JSON, an environment or settings. Of any other token only what looks like one.
    (
        re.compile(
            r"((?:secret[_-]?(?:access[_-]?)?key|(?:session|access|refresh|id)[_-]?token|client[_-]?secret|password)"
            r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)[^\s,;&\"'<>\[\]{}]{4,}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(token[\"']?\s{0,3}[=:]\s{0,3}[\"']?)[\w+/=.-]{16,}", re.IGNORECASE), rf"\1{MASK}"),
    # A JSON web token, as pods have them.
    (re.compile(r"(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?"), MASK),
    (re.compile(r"(authorization\W{1,6}(?:basic|bearer)\s{1,4})[^\s,;\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
)


def mask(text: str) -> str:
    """Mask what looks like a secret: passwords in URLs, access keys, JSON web tokens, and what is named as a secret."""
    text = text[:_MOST_CHARACTERS]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def passwords_in(url: object) -> set[str]:
    """The password of a URL, as it is written and as it is meant; it may contain a slash, though it must not."""
    if not isinstance(url, str):
        return set()
    user_info, at, _ = url.partition("//")[2].rpartition("@")
    password = user_info.partition(":")[2]
    if not at or len(password) < _LEAST_PASSWORD:
        return set()
    return {password, unquote(password)}


class Redactor:
    """Masks known secrets, and what looks like one.

    Args:
        keys: Access keys, secret keys and tokens; what is no text or too short to be one is ignored.
        urls: Addresses that may have a password.
    """

    def __init__(self, keys: Iterable[object] = (), urls: Iterable[object] = ()) -> None:
        secrets = {key for key in keys if isinstance(key, str) and len(key) >= _LEAST_KEY}
        secrets |= {quote(secret, safe="") for secret in secrets}
        secrets = secrets.union(*map(passwords_in, urls))
        # One may be a part of another.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask(text)

    def clean(self, error: BaseException) -> None:
        """Mask the texts of an error, and of those behind it; of these, what still tells a secret is cut off."""
        seen: set[int] = set()
        following: BaseException | None = error
        while following is not None and id(following) not in seen:
            seen.add(id(following))
            self._clean_texts(following)
            cause, context = following.__cause__, following.__context__
            for behind in (cause, context):
                if behind is not None:
                    self._clean_texts(behind)
            if cause is not None and self._is_told_by(cause):
                following.__cause__ = cause = None
            if context is not None and self._is_told_by(context):
                following.__context__ = context = None
            following = cause or context

    def _clean_texts(self, error: BaseException) -> None:
        error.args = tuple(self._cleaned(value) for value in error.args)
        for attribute in ("kwargs", "response"):
            # What botocore keeps to make the text of, and what it has parsed.
            values = getattr(error, attribute, None)
            if isinstance(values, dict):
                values.update({name: self._cleaned(value) for name, value in values.items()})

    def _cleaned(self, value: object) -> object:
        if isinstance(value, str):
            # A text that has no secret stays as long as it is.
            return self(value) if self._has_secret(value) else value
        if type(value) is dict:
            return {key: self._cleaned(member) for key, member in value.items()}
        return value

    def _has_secret(self, text: str) -> bool:
        return any(secret in text for secret in self._secrets) or mask(text) != text[:_MOST_CHARACTERS]

    def _is_told_by(self, error: BaseException) -> bool:
        try:
            return self._has_secret(str(error)) or self._has_secret(repr(error))
        except Exception:  # noqa: BLE001
            return True
