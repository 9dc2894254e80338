"""What a blocklist finds: terms, patterns, and the common secrets."""

from __future__ import annotations

import base64
import random
import re
import string
from typing import Any, Dict, List

import pytest
import regex

from peekr.errors import ConfigurationError
from peekr.guard import Blocklist, Finding
from peekr.guard.patterns import BoundedPattern

_random = random.Random(0)
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BASE32 = string.ascii_uppercase + "234567"


def chars(count: int, among: str = ALNUM) -> str:
    made = "".join(_random.choice(among) for _ in range(count - 2))
    # Random, but never without a digit and a letter.
    return f"{made}{'a' if 'a' in among else 'A'}{'7' if '7' in among else 'b'}"


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


# By the rule that finds them; `…` stands around what may stay.
SECRETS: Dict[str, List[str]] = {
    "openai_key": [
        f"sk-{chars(48)}",
        f"sk-{chars(20)}T3BlbkFJ{chars(20)}",
        f"sk-proj-{chars(74)}T3BlbkFJ{chars(74)}",
        f"sk-proj-{chars(40)}_{chars(20)}-{chars(10)}",
        f"sk-svcacct-{chars(60)}",
        f"sk-admin-{chars(60)}",
        f"sk-None-{chars(40)}",
        f"sess-{chars(40)}",
    ],
    "anthropic_key": [
        f"sk-ant-api03-{chars(93)}AA",
        f"sk-ant-admin01-{chars(93)}AA",
        f"sk-ant-oat01-{chars(80)}",
        f"sk-ant-sid01-{chars(80)}",
    ],
    "google_key": [
        f"AIza{chars(35)}",
        f"GOCSPX-{chars(28)}",
        f"ya29.{chars(60)}",
        f"1//0{chars(40)}",
        f"AQ.Ab{chars(45)}",
    ],
    "aws_access_key_id": [f"AKIA{chars(16, BASE32)}", f"ASIA{chars(16, BASE32)}"],
    "aws_secret_access_key": [
        f"aws_secret_access_key = …{chars(40)}…",
        f'"SecretAccessKey": "…{chars(40)}…"',
        f"AWS_SECRET_ACCESS_KEY=…{chars(40)}…",
    ],
    "aws_session_token": [f"IQoJb3JpZ2luX2VjE{chars(200)}", f"FwoGZXIvYXdzE{chars(200)}"],
    "aws_bedrock_key": [f"ABSK{chars(110)}"],
    "azure_key": [f"AccountKey=…{chars(86)}==…"],
    "github_token": [
        *(f"gh{kind}_{chars(36)}" for kind in "pousr"),
        f"github_pat_{chars(22)}_{chars(59)}",
    ],
    "gitlab_token": [
        *(
            f"gl{kind}-{chars(20)}"
            for kind in ("pat", "dt", "rt", "ptt", "cbt", "ft", "imt", "agent", "oas", "soat")
        ),
        f"GR1348941{chars(20)}",
    ],
    "slack_token": [
        *(f"xox{kind}-1234567890-123456789012-{chars(24)}" for kind in "abeoprs"),
        f"xoxe.xoxp-1-{chars(100)}",
        f"xapp-1-A0123-456-{chars(40)}",
        f"https://hooks.slack.com/services/…T0001/B0001/{chars(24)}…",
    ],
    "stripe_key": [
        f"sk_live_{chars(24)}",
        f"sk_test_{chars(99)}",
        f"rk_live_{chars(24)}",
        f"whsec_{chars(32)}",
    ],
    "huggingface_token": [f"hf_{chars(34, string.ascii_letters)}"],
    "npm_token": [f"npm_{chars(36)}", f"//registry/:_authToken=…{chars(36)}…"],
    "pypi_token": [f"pypi-AgEIcHlwaS5vcmc{chars(120)}"],
    "jwt": [f"{b64(chr(123) + chr(34) + 'alg' + chr(34) + ':1}')}.{b64('{}{}{}')}.{chars(43)}"],
    "private_key": [
        f"-----BEGIN {kind}PRIVATE KEY-----\n{chars(64)}\n{chars(30)}==\n"
        f"-----END {kind}PRIVATE KEY-----"
        for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")
    ]
    + [f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{chars(64)}\n-----END PGP PRIVATE KEY BLOCK-----"]
    + [f"-----BEGIN PRIVATE KEY-----\\n{chars(64)}\\n-----END PRIVATE KEY-----"],
    "bearer_token": [
        f"Authorization: Bearer …{chars(40)}…",
        f"authorization: bearer …{chars(32, HEX)}…",
    ],
    "basic_credentials": [f"Authorization: Basic …{chars(24)}…"],
    "api_key_header": [f"x-api-key: …{chars(32)}…", f'"api_key": "…{chars(32)}…"'],
    "url_password": [
        f"postgres://user:…{chars(12)}…@db.example.com/app",
        f"redis://:…{chars(12)}…@localhost:6379/0",
        "https://user:…p%40ss/w0rd…@example.com",
        "amqp://guest:…hunter2…@rabbit:5672",
    ],
}

HARMLESS = [
    "ask-me-anything-about-this-long-topic",
    "task-runner-with-a-very-long-hyphenated-name-2024",
    "risk-assessment2024-long-name-identifier",
    "sk-learn and sk-",
    "the bearer of bad news and responsibilities",
    "Bearer authentication is described in RFC 6750",
    "https://user@example.com/path",
    "http://localhost:8080/a@b",
    "https://registry.example.com:443/@scope/package",
    "postgres://user:${PASSWORD}@host/db",
    "postgres://user:***@host/db",
    "postgres://user:<password>@host/db",
    "the secret key is not here",
    "secret_access_key = os.environ['KEY']",
    "550e8400-e29b-41d4-a716-446655440000",
    "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "eyJ is how base64 of a JSON object begins",
    "eyJhbGciOiJ.eyJhbGci.notjson",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "toolu_01A09q90qw90lq917835lq9",
    "AKIA is a prefix",
    "hf_hub_download('x')",
    "npm_config_registry=https://example.com",
    "api_key: str = Field(default=None)",
    "glpat- is a prefix, glrt- another",
]


def each_secret() -> List[Any]:
    return [
        pytest.param(rule, text, id=f"{rule}-{index}")
        for rule, texts in SECRETS.items()
        for index, text in enumerate(texts)
    ]


@pytest.mark.parametrize("around", ["{}", "text {} and more", '{{"k":"{}"}}', "say '{}'.", "{}\n"])
@pytest.mark.parametrize(("rule", "text"), each_secret())
def test_common_secrets_are_found_whole(rule: str, text: str, around: str) -> None:
    before, _, rest = text.partition("…")
    secret, _, after = rest.partition("…")
    if not rest:
        before, secret = "", text
    whole = around.format(before + secret + after)
    guard = Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact")
    redacted = guard.redact(whole)
    assert secret not in redacted
    assert secret[:12] not in redacted or before
    assert redacted == around.format(f"{before}[BLOCKED]{after}")
    assert rule in {finding.rule for finding in guard.check(whole)}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_is_left_alone(text: str) -> None:
    assert Blocklist(patterns=Blocklist.COMMON_SECRETS).check(text) == []


def test_common_secrets_are_patterns_in_the_syntax_of_re() -> None:
    assert len(Blocklist.COMMON_SECRETS) > 30
    for pattern in Blocklist.COMMON_SECRETS:
        assert isinstance(pattern, str)
        re.compile(pattern)


def test_own_patterns_stand_beside_the_common_secrets() -> None:
    key = SECRETS["github_token"][0]
    for patterns in (
        [*Blocklist.COMMON_SECRETS, r"ACME-\d+"],
        Blocklist.COMMON_SECRETS + [r"ACME-\d+"],  # noqa: RUF005 - that is what is tested
        [r"ACME-\d+"] + Blocklist.COMMON_SECRETS,  # noqa: RUF005
    ):
        guard = Blocklist(patterns=patterns, action="redact")
        assert guard.redact(f"{key} and ACME-12") == "[BLOCKED] and [BLOCKED]"


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_private_key_that_is_cut_off_counts_to_the_end(cut: int) -> None:
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{chars(64)}"
    guard = Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact")
    assert guard.redact(f"key {text[: len(text) - cut]}") == "key [BLOCKED]"


def test_terms_are_found_regardless_of_case_and_within_words() -> None:
    guard = Blocklist(terms=["Acme", "project x"], action="redact")
    assert guard.redact("ACME's PreAcme\nproject \n X") == "[BLOCKED]'s Pre[BLOCKED]\n[BLOCKED]"
    assert guard.check("an acme", "input") == [Finding("terms[0]", 3, 7)]


def test_case_and_words_may_matter() -> None:
    assert Blocklist(terms=["Acme"], case_sensitive=True).check("acme") == []
    guard = Blocklist(terms=["class"], whole_words=True)
    assert guard.check("classes and subclass") == []
    assert guard.check("the_class, class") == [
        Finding("terms[0]", 4, 9),
        Finding("terms[0]", 11, 16),
    ]


@pytest.mark.parametrize("term", ["straße", "İstanbul", "機密", "naïve", "C++", "a.b", "(x)"])
def test_terms_of_any_script_and_sign_are_found(term: str) -> None:
    guard = Blocklist(terms=[term], action="redact")
    assert guard.redact(f"İ {term} İ") == "İ [BLOCKED] İ"


def test_patterns_follow_the_case_option_and_compiled_ones_their_own() -> None:
    assert Blocklist(patterns=[r"acme-\d"]).check("ACME-1") == [Finding("patterns[0]", 0, 6)]
    assert Blocklist(patterns=[re.compile(r"acme-\d")]).check("ACME-1") == []
    assert Blocklist(patterns=r"acme", case_sensitive=True).check("ACME") == []


def test_exceptions_are_let_through() -> None:
    guard = Blocklist(patterns=Blocklist.COMMON_SECRETS, exceptions=["guest"], action="redact")
    assert guard.redact("amqp://guest:guest@rabbit") == "amqp://guest:guest@rabbit"


def test_with_another_action_only_secrets_are_kept_out_of_the_record() -> None:
    key = SECRETS["openai_key"][0]
    guard = Blocklist(terms=["acme"], patterns=Blocklist.COMMON_SECRETS)
    assert guard.action == "raise"
    assert guard.redacts_record
    assert guard.redact(f"acme {key}") == "acme [BLOCKED]"
    assert not Blocklist(terms=["acme"]).redacts_record


def test_the_name_before_a_secret_tells_what_it_is() -> None:
    guard = Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact")
    assert guard.redact_after(chars(40), "aws_secret_access_key") == "[BLOCKED]"
    assert guard.redact_after(f"Bearer {chars(40)}", "authorization") == "Bearer [BLOCKED]"
    plain = chars(40)
    assert guard.redact_after(plain, "digest") == plain


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give terms=, patterns= or both"),
        ({"terms": [""]}, "a term is empty"),
        ({"terms": ["a"], "action": "block"}, "none of 'raise', 'redact', 'warn'"),
        ({"terms": ["a"], "fields": "both"}, "give 'input', 'output' or both"),
        ({"patterns": ["("]}, "is not a valid pattern"),
    ],
)
def test_what_cannot_be_used_is_a_value_error(arguments: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Blocklist(**arguments)


@pytest.mark.parametrize("arguments", [{"terms": [1]}, {"patterns": [1]}, {"patterns": [b"a"]}])
def test_what_is_no_text_is_a_type_error(arguments: Any) -> None:
    with pytest.raises(TypeError, match="is not a"):
        Blocklist(**arguments)


HOSTILE = [
    (r"^(a+)+$", "a" * 5_000 + "!"),
    (r"(x+x+)+y", "x" * 10_000),
    (r"(?:a|aa)+$", "a" * 100_000 + "b"),
    (r"(.*)*=.*;", "a" * 100_000),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 1_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_a_pattern_that_backtracks_without_end_is_stopped(pattern: str, text: str) -> None:
    # Without a bound each of these takes longer than any test run has.
    try:
        Blocklist(patterns=[pattern]).check(text)
    except TimeoutError as error:
        assert pattern in str(error)  # noqa: PT017 - some of them the engine is clever about
        assert text[:20] not in str(error)  # noqa: PT017


def test_time_that_other_threads_take_is_not_held_against_a_pattern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = regex.compile("b+")
    interrupted: List[float] = []

    class Interrupted:
        """As `regex` is when other threads use up the processor time that it counts."""

        def finditer(self, text: str, timeout: float) -> Any:
            if len(interrupted) < 2:
                interrupted.append(timeout)
                raise TimeoutError("regex timed out")
            return compiled.finditer(text)

    pattern = BoundedPattern("b+")
    monkeypatch.setattr(pattern, "_compiled", Interrupted())
    assert pattern.spans("abba") == [(1, 3)]
    assert interrupted[1] == 2 * interrupted[0]


@pytest.mark.parametrize(
    "piece",
    ["sk-", "eyJ", "eyJ.", "://", "://a:", "-----BEGIN PRIVATE KEY-----", "Bearer ", "AKIA"],
)
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    assert Blocklist(patterns=Blocklist.COMMON_SECRETS, action="redact").redact(text)
