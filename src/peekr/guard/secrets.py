"""The secrets that software holds: keys, tokens and passwords, by the forms they are given in."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, Optional, cast

__all__ = ["COMMON_SECRETS", "SecretFinder", "SecretPattern", "SecretPatterns"]


class SecretPattern(str):
    """A pattern for one kind of secret, as the text that `re.compile` takes.

    Attributes:
        rule: The kind: `openai_key`, `private_key`.
        hints: Texts of which one is in every such secret; it is looked for around these alone.
    """

    rule: str
    hints: tuple[str, ...]
    _back: int
    _check: Optional[Callable[[str], bool]]
    _compiled: re.Pattern[str]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where such secrets are in a text."""
        for hint in self.hints:
            at = text.find(hint)
            while at >= 0:
                span = self._span(text, at)
                if span is not None:
                    yield span
                at = text.find(hint, max(at + 1, span[1]) if span else at + 1)

    def _span(self, text: str, at: int) -> Optional[tuple[int, int]]:
        """The secret whose hint stands at a place."""
        compiled, check = self._compiled, self._check
        for start in range(max(0, at - self._back), at + 1):
            match = compiled.match(text, start)
            if match is not None:
                # What stands around the secret, `Bearer` say, may stay.
                group = match.lastgroup or 0
                if check is None or check(match[group]):
                    return match.span(group)
        return None


class SecretPatterns(tuple[SecretPattern, ...]):
    """Patterns that one's own may be added to: `Blocklist.COMMON_SECRETS + [r"acme-\\d+"]`."""

    __slots__ = ()

    def __add__(self, other: Iterable[Any]) -> tuple[Any, ...]:  # type: ignore[override]
        return (*self, *other)

    def __radd__(self, other: Iterable[Any]) -> tuple[Any, ...]:
        return (*other, *self)


class _Form(NamedTuple):
    rule: str
    hints: tuple[str, ...]
    pattern: str
    check: Optional[Callable[[str], bool]] = None
    back: int = 0


def _is_jwt(token: str) -> bool:
    """Whether the first part is a header with an algorithm. Source: RFC 7515, RFC 7519."""
    head = token.partition(".")[0]
    try:
        header: Any = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)


def _is_random(token: str) -> bool:
    """Whether it is no word: digits and letters, or letters of both cases in its midst."""
    has_digit = any(char.isdigit() for char in token)
    has_letter = any(char.isalpha() for char in token)
    return (has_digit and has_letter and len(token) >= 16) or (
        token[1:] != token[1:].lower() and token != token.upper() and len(token) >= 24
    )


_PLACEHOLDERS = re.compile(
    r"\*+|x+|\.+|\$\{?\w+\}?|\{\{?\w*\}?\}|<[^<>]*>|%s|%\(\w+\)s|\[[A-Z_ ]+\]|:?//?", re.I
)


def _is_no_placeholder(password: str) -> bool:
    return _PLACEHOLDERS.fullmatch(password) is None


# A letter, a digit or what joins them stands neither before nor behind a key.
_B = r"(?<![A-Za-z0-9_-])"
_E = r"(?![A-Za-z0-9_])"

_FORMS = (
    # Models
    _Form("anthropic_key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{16,}"),
    _Form(
        "openai_key",
        ("sk-", "sess-"),
        # Of projects, of service accounts and of administrators; of users, before and after the
        # mark in their midst; of sessions.
        rf"(?<![A-Za-z0-9])sk-(?!ant-|lf-|or-)(?:(?:proj|svcacct|admin|service|None)-[A-Za-z0-9_-]{{16,}}"
        rf"|[A-Za-z0-9_-]{{0,64}}T3BlbkFJ[A-Za-z0-9_-]{{16,}}|[A-Za-z0-9]{{20,}})"
        rf"|{_B}sess-[A-Za-z0-9]{{40}}{_E}",
    ),
    _Form("openrouter_key", ("sk-or-",), r"sk-or-(?:v\d-)?[A-Za-z0-9]{32,}"),
    _Form("langfuse_key", ("sk-lf-",), r"sk-lf-[0-9a-f-]{32,36}"),
    _Form("huggingface_token", ("hf_", "api_org_"), rf"{_B}(?:hf|api_org)_[A-Za-z0-9]{{30,}}"),
    _Form("groq_key", ("gsk_",), rf"{_B}gsk_[A-Za-z0-9]{{40,}}"),
    _Form("xai_key", ("xai-",), rf"{_B}xai-[A-Za-z0-9]{{40,}}"),
    _Form("perplexity_key", ("pplx-",), rf"{_B}pplx-[A-Za-z0-9]{{40,}}"),
    _Form("replicate_token", ("r8_",), rf"{_B}r8_[A-Za-z0-9]{{37,}}"),
    _Form("nvidia_key", ("nvapi-",), rf"{_B}nvapi-[A-Za-z0-9_-]{{40,}}"),
    # Clouds
    _Form(
        "google_key",
        ("AIza", "GOCSPX-", "ya29.", "1//0", "AQ.Ab"),
        rf"{_B}(?:AIza[A-Za-z0-9_-]{{35}}|GOCSPX-[A-Za-z0-9_-]{{20,}}|ya29\.[A-Za-z0-9_.-]{{20,}}"
        rf"|1//0[A-Za-z0-9_-]{{30,}}|AQ\.Ab[A-Za-z0-9_-]{{30,}})",
    ),
    _Form(
        "aws_access_key_id",
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    ),
    _Form(
        "aws_secret_access_key",
        ("ecret", "ECRET"),
        r"(?i:secret.{0,3}(?:access)?.{0,3}key)[^A-Za-z0-9/+]{1,8}"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        _is_random,
        1,
    ),
    _Form(
        "aws_session_token",
        ("FwoGZXIvYXdz", "IQoJb3JpZ2lu", "FQoGZXIvYXdz"),
        r"(?:FwoGZXIvYXdz|IQoJb3JpZ2lu|FQoGZXIvYXdz)[A-Za-z0-9/+=]{60,}",
    ),
    _Form(
        "aws_bedrock_key",
        ("ABSK", "bedrock-api-key-"),
        r"(?<![A-Za-z0-9])(?:ABSK[A-Za-z0-9+/]{60,}={0,2}|bedrock-api-key-[A-Za-z0-9+/=_-]{40,})",
    ),
    _Form(
        "azure_key",
        ("AccountKey=", "SharedAccessKey="),
        r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,}={0,2})",
    ),
    _Form(
        "digitalocean_token",
        ("dop_v1_", "doo_v1_", "dor_v1_"),
        rf"{_B}do[opr]_v1_[a-f0-9]{{64}}",
    ),
    _Form("databricks_token", ("dapi",), rf"{_B}dapi[a-f0-9]{{32}}(?:-\d)?{_E}"),
    # Code
    _Form(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        # The part behind an underscore or a point: tokens of applications may be JWTs.
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9_.-]{30,}|github_pat_[A-Za-z0-9_]{36,})",
    ),
    _Form(
        "gitlab_token",
        ("glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-",
         "gloas-", "glsoat-", "glffct-", "glwt-", "GR1348941", "_gitlab_session="),
        r"(?<![A-Za-z0-9])(?:gl(?:pat|dt|rt|rtr|ptt|cbt|ft|imt|agent|oas|soat|ffct|wt)-"
        r"[A-Za-z0-9_.=-]{16,}|GR1348941[A-Za-z0-9_-]{16,}|_gitlab_session=[0-9a-z]{32})",
    ),
    _Form(
        "npm_token",
        ("npm_", ":_authToken=", ":_password="),
        rf"{_B}npm_[A-Za-z0-9]{{36}}{_E}|:_(?:authToken|password)=[\"']?(?P<x>[A-Za-z0-9_+/=-]{{16,}})",
    ),
    _Form("pypi_token", ("pypi-",), rf"{_B}pypi-[A-Za-z0-9_-]{{50,}}"),
    _Form("docker_token", ("dckr_",), rf"{_B}dckr_(?:pat|oat)_[A-Za-z0-9_-]{{20,}}"),
    _Form("vault_token", ("hvs.", "hvb.", "hvr."), rf"{_B}hv[sbr]\.[A-Za-z0-9_-]{{24,}}"),
    _Form(
        "terraform_token",
        (".atlasv1.",),
        rf"{_B}[A-Za-z0-9]{{14}}\.atlasv1\.[\w=-]{{60,}}",
        None,
        14,
    ),
    # Services
    _Form(
        "slack_token",
        ("xox", "xapp-", "xwfp-", "hooks.slack.com"),
        rf"{_B}(?:xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{{10,}}|xapp-\d-[A-Za-z0-9-]{{10,}}"
        rf"|xwfp-[A-Za-z0-9-]{{10,}})"
        r"|hooks\.slack\.com/(?:services|workflows|triggers)/(?P<x>[A-Za-z0-9+/_-]{20,})",
    ),
    _Form(
        "stripe_key",
        ("_live_", "_test_", "whsec_"),
        rf"{_B}(?:(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{{10,}}|whsec_[A-Za-z0-9+/=]{{24,}})",
        None,
        2,
    ),
    _Form("sendgrid_key", ("SG.",), rf"{_B}SG\.[A-Za-z0-9_-]{{16,}}\.[A-Za-z0-9_-]{{32,}}"),
    _Form("twilio_key", ("SK",), rf"{_B}SK[0-9a-f]{{32}}{_E}"),
    _Form("mailgun_key", ("key-",), rf"{_B}key-[0-9a-f]{{32}}{_E}"),
    _Form(
        "shopify_token",
        ("shpat_", "shpca_", "shppa_", "shpss_"),
        rf"{_B}shp(?:at|ca|pa|ss)_[a-fA-F0-9]{{32}}",
    ),
    _Form(
        "square_token",
        ("EAAA", "sq0"),
        rf"{_B}(?:sq0[a-z]{{3}}-[\w-]{{22,43}}|EAAA[\w-]{{60}}){_E}",
    ),
    _Form("telegram_token", (":AA",), rf"{_B}\d{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_E}", None, 10),
    _Form("linear_key", ("lin_api_",), rf"{_B}lin_api_[A-Za-z0-9]{{32,}}"),
    _Form("notion_token", ("ntn_", "secret_"), rf"{_B}(?:ntn_|secret_)[A-Za-z0-9]{{40,}}"),
    _Form("postman_key", ("PMAK-",), rf"{_B}PMAK-[a-f0-9]{{24}}-[a-f0-9]{{34}}"),
    _Form("sentry_token", ("sntry",), rf"{_B}sntry[su]_[A-Za-z0-9+/=_-]{{40,}}"),
    _Form("grafana_token", ("glsa_", "glc_"), rf"{_B}(?:glsa|glc)_[A-Za-z0-9+/=_]{{32,}}"),
    _Form("age_key", ("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    # Of no one in particular
    _Form(
        "jwt",
        ("eyJ",),
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"
        r"(?:\.[A-Za-z0-9_-]+){0,2}",
        _is_jwt,
    ),
    _Form(
        "private_key",
        ("-----BEGIN ",),
        # One that is cut off counts to the end of the text.
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?!-----END )[\s\S])*(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    _Form(
        "bearer_token",
        ("earer", "EARER"),
        r"\b[Bb](?:earer|EARER)(?:\s|%20|\+){1,4}(?P<secret>[A-Za-z0-9._~+/-]{16,}={0,2})",
        _is_random,
        1,
    ),
    _Form(
        "basic_credentials",
        ("uthorization", "UTHORIZATION"),
        r"(?i:authorization)\W{1,6}(?:[Bb](?:asic|ASIC))\s+(?P<secret>[A-Za-z0-9+/]{8,}={0,2})",
        None,
        1,
    ),
    _Form(
        "api_key_header",
        ("pi-key", "pi_key", "PI-Key", "PI-KEY", "PI_KEY", "piKey", "pi-Key", "pikey"),
        r"(?i:api[-_]?key)[\"'\\]{0,3}\s{0,3}[:=]\s{0,3}[\"'\\]{0,3}"
        r"(?P<secret>[A-Za-z0-9._~+/-]{20,}={0,2})",
        _is_random,
        1,
    ),
    _Form(
        "url_password",
        ("://",),
        r"://[^\s/:@\"'<>?#]{0,128}:(?!\d{1,5}[/?#])(?P<secret>[^\s/@\"'<>]{1,256}|[^\s@\"'<>?#]{1,256})@(?=[^\s@])",
        _is_no_placeholder,
    ),
)  # fmt: skip


def _pattern(form: _Form) -> SecretPattern:
    made = SecretPattern(form.pattern)
    made.rule, made.hints = form.rule, form.hints
    made._back = form.back  # pyright: ignore[reportPrivateUsage]
    made._check = form.check  # pyright: ignore[reportPrivateUsage]
    made._compiled = re.compile(form.pattern)  # pyright: ignore[reportPrivateUsage]
    return made


COMMON_SECRETS = SecretPatterns(cast("Iterable[SecretPattern]", map(_pattern, _FORMS)))
"""Patterns of the keys, tokens and passwords that are seen most."""


class SecretFinder:
    """Looks for many kinds of secrets at once."""

    __slots__ = ("_apart", "_within")

    def __init__(self, patterns: Iterable[SecretPattern]) -> None:
        self._apart: list[tuple[str, SecretPattern]] = []
        self._within: list[tuple[str, SecretPattern]] = []
        for pattern in patterns:
            hinted = self._apart if pattern.rule in _APART else self._within
            hinted += [(hint, pattern) for hint in pattern.hints]

    def found(self, text: str) -> list[tuple[str, int, int]]:
        """The secrets in a text: kind, start and end, in no order."""
        likely = {pattern for hint, pattern in self._apart if hint in text}
        # Most words are short: what is left is searched in a hundredth of the time.
        words = "\n".join([word for word in text.split() if len(word) >= _LEAST_CHARS])
        if words:
            likely.update([pattern for hint, pattern in self._within if hint in words])
        return [(pattern.rule, *span) for pattern in likely for span in pattern.spans(text)]


# Their hints may stand in another word than the secret, or the secret may be short.
_APART = frozenset(
    (
        "api_key_header",
        "aws_secret_access_key",
        "basic_credentials",
        "bearer_token",
        "private_key",
        "url_password",
    )
)
# All others are one word of as many characters at least.
_LEAST_CHARS = 15
