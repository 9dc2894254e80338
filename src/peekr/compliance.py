"""Compliance packs: rules that Peekr Cloud gives, applied to model calls as guardrails.

The rules come from `GET {endpoint}/v1/compliance`, when `instrument()` is called, and are kept on
disk for the time when the endpoint cannot be reached.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional, cast

from peekr.encoding import loads
from peekr.errors import ComplianceError, ConfigurationError
from peekr.guard.base import BaseGuardrail, Finding
from peekr.guard.patterns import BoundedPattern
from peekr.plaintext import clean
from peekr.semconv import own

__all__ = ["KNOWN_PACKS", "PackGuard", "Rule", "guards"]

KNOWN_PACKS = (
    "HIPAA",
    "FDCPA",
    "FINRA",
    "GDPR",
    "EU_AI_ACT",
    "UAE_PDPL",
    "UAE_DHA",
    "UAE_CBUAE",
    "UAE_RERA",
    "KSA_PDPL",
    "UAE_DIFC",
    "TCPA",
    "UPL",
    "EEOC_ADA",
)
"""Packs that are known to exist; the endpoint may have others."""

_PATH = "/v1/compliance"
_TYPES = ("prohibited_input", "prohibited_output", "required_disclosure")
_MAX_MATCHED_CHARS = 200
_MAX_SAID = 3
_logger = logging.getLogger("peekr.compliance")


class Rule(NamedTuple):
    """One rule of a pack.

    Attributes:
        type: `prohibited_input`, `prohibited_output` or `required_disclosure`.
        pattern: What must not occur, or what must.
        description: What the rule says, in words.
    """

    type: str
    pattern: BoundedPattern
    description: str


class PackGuard(BaseGuardrail):
    """The rules of one pack.

    What it finds is listed under `compliance_violations`, whether it blocks or warns. The texts of
    the call stay in the record, where an audit looks for them.
    """

    keeps_record = True

    def __init__(
        self, pack: str, action: str, rules: Sequence[Rule], *, shows_matches: bool = True
    ) -> None:
        """Apply rules.

        Args:
            pack: The pack's name.
            action: `"raise"` or `"warn"`.
            rules: The rules.
            shows_matches: Whether a violation says what text it is about.
        """
        self.name = pack
        self.action = action
        self._shows_matches = shows_matches
        self._prohibited = {
            field: [rule for rule in rules if rule.type == f"prohibited_{field}"]
            for field in ("input", "output")
        }
        self._required = [rule for rule in rules if rule.type == "required_disclosure"]
        fields = [field for field, found in self._prohibited.items() if found]
        if self._required and "output" not in fields:
            fields.append("output")
        self.fields = tuple(fields)
        # What is missing shows at the end.
        self.stream = "buffer" if self._required else "window"
        self.window_chars = 512

    def check(self, text: str, field: str = "input") -> list[Finding]:
        """What a text has that it must not have."""
        found: list[Finding] = []
        for rule in self._prohibited[field]:
            found += [Finding(rule.description, *span) for span in rule.pattern.spans(text)]
        return found

    def check_all(self, texts: Sequence[str], field: str) -> list[Finding]:
        """What an answer does not have that it must have."""
        if field != "output" or not texts:
            return []
        whole = "\n".join(texts)
        return [
            Finding(f"no {rule.description}")
            for rule in self._required
            if not rule.pattern.spans(whole)
        ]

    def described(self, finding: Finding, text: str, field: str) -> tuple[str, dict[str, Any]]:
        """The attribute that lists a finding, and its entry there."""
        is_missing = finding.end == 0
        matched = text[finding.start : finding.end][:_MAX_MATCHED_CHARS]
        return own.PEEKR_COMPLIANCE_VIOLATIONS, {
            "type": "required_disclosure" if is_missing else f"prohibited_{field}",
            "pack": self.name,
            "matched": matched if self._shows_matches and not is_missing else None,
            "rule": finding.rule[3:] if is_missing else finding.rule,
        }


def guards(
    packs: Optional[Sequence[str]],
    client: Any,
    *,
    action: str = "raise",
    is_required: bool = False,
    shows_matches: bool = True,
    folder: Optional[Path] = None,
) -> list[PackGuard]:
    """The guardrails of compliance packs; asks the endpoint, and waits for its answer.

    What keeps rules from being applied is said in one line each through the logger
    `peekr.compliance`.

    Args:
        packs: Names of packs, `NAME` or `NAME:warn`; None for whatever the project has on.
        client: Asks the endpoint; see `peekr.cloud.CloudClient`.
        action: The strongest action, `"raise"` or `"warn"`.
        is_required: Raise where a pack cannot be applied.
        shows_matches: Whether violations say what text they are about.
        folder: Where rules are kept; the user's folder of caches when None.

    Raises:
        ComplianceError: a pack is required and cannot be applied.
        ConfigurationError: a pack has a name that neither Peekr nor the endpoint knows.
    """
    kept = _Kept(folder or _cache_folder(), client)
    answer = _asked(client, kept, is_required)
    if answer is None:
        return []
    offered, rules = _read(answer)
    if packs is None:
        wanted = dict.fromkeys(offered, action)
    else:
        wanted = {name: _weaker(own, action) for name, own in map(_named, packs)}
    made: list[PackGuard] = []
    for name, strongest in wanted.items():
        if name not in offered:
            _missing(name, offered, is_required)
            continue
        found = rules.get(name, [])
        if found:
            weakest = _weaker(offered[name], strongest)
            made.append(PackGuard(name, weakest, found, shows_matches=shows_matches))
        else:
            _refuse(f"The compliance pack {name} has no rule that can be applied.", is_required)
    return made


def _named(entry: str) -> tuple[str, str]:
    """A pack's name and the strongest action that is wanted of it."""
    name, _, action = entry.partition(":")
    action = action.strip().lower() or "raise"
    if action not in ("raise", "warn"):
        raise ConfigurationError(f"compliance: {entry!r} asks for neither raise nor warn")
    return name.strip().upper().replace("-", "_").replace(" ", "_"), action


def _weaker(first: str, second: str) -> str:
    return "raise" if first == second == "raise" else "warn"


def _missing(name: str, offered: Mapping[str, str], is_required: bool) -> None:
    if name not in KNOWN_PACKS:
        choices = ", ".join(sorted({*KNOWN_PACKS, *offered}))
        raise ConfigurationError(f"compliance: there is no pack {name!r}; there are {choices}")
    _refuse(
        f"The compliance pack {name} is not on in this Peekr Cloud project: "
        "its rules are not applied.",
        is_required,
    )


def _refuse(message: str, is_required: bool) -> None:
    if is_required:
        raise ComplianceError(message)
    _logger.warning("%s", message)


# -- asking ----------------------------------------------------------------------------------------


def _asked(client: Any, kept: _Kept, is_required: bool) -> Optional[Mapping[str, Any]]:
    """What the endpoint says, now or when it was last asked; None where there is nothing."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        answer = client.get(_PATH)
    if answer.is_success:
        found = _object(answer.body)
        if found is not None:
            kept.write(found)
            return found
        reason = "its answer is not what was expected"
    elif answer.status in (402, 403):
        _refuse(
            f"The plan of this Peekr Cloud project does not include compliance packs "
            f"(HTTP {answer.status}): no compliance rules are applied.",
            is_required,
        )
        return None
    elif answer.status == 401:
        _refuse(
            "Peekr Cloud does not accept the API key (HTTP 401): no compliance rules are applied.",
            is_required,
        )
        return None
    else:
        reason = answer.reason or f"HTTP {answer.status}"
    before = kept.read()
    if before is not None:
        found, age_s = before
        _logger.warning(
            "Compliance rules could not be fetched from %s (%s): those of %s ago are applied.",
            client.endpoint,
            reason,
            _ago(age_s),
        )
        return found
    _refuse(
        f"Compliance rules could not be fetched from {client.endpoint} ({reason}), and none are "
        "kept from before: no compliance rules are applied.",
        is_required,
    )
    return None


def _object(body: bytes) -> Optional[dict[str, Any]]:
    try:
        found = loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    made = cast("dict[str, Any]", found)
    is_known = isinstance(made.get("packs"), list) and isinstance(made.get("rules"), list)
    return made if is_known else None


def _read(answer: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, list[Rule]]]:
    """The actions of the packs, and their rules; what is unusable is left out, and said."""
    offered: dict[str, str] = {}
    for pack in _objects(answer["packs"]):
        name = pack.get("name")
        if isinstance(name, str) and name:
            offered[name.upper()] = "raise" if pack.get("action") == "raise" else "warn"
    rules: dict[str, list[Rule]] = {}
    bad: dict[str, list[str]] = {}
    for entry in _objects(answer["rules"]):
        pack = str(entry.get("pack")).upper()
        description = clean(str(entry.get("description") or entry.get("pattern")))
        try:
            kind = entry.get("rule_type")
            if kind not in _TYPES:
                raise ConfigurationError(f"{clean(str(kind))!r} is no type of rule")
            pattern = BoundedPattern(entry.get("pattern"), ignore_case=True)
            rules.setdefault(pack, []).append(Rule(str(kind), pattern, description))
        except (ConfigurationError, TypeError) as error:
            bad.setdefault(pack, []).append(f"{description!r} ({error})")
    for pack, reasons in bad.items():
        shown = "; ".join(reasons[:_MAX_SAID])
        more = f"; and {len(reasons) - _MAX_SAID} more" if len(reasons) > _MAX_SAID else ""
        _logger.warning(
            "%d of the rules of the compliance pack %s cannot be used and are skipped: %s%s",
            len(reasons),
            clean(pack),
            shown,
            more,
        )
    return offered, rules


def _objects(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in cast("list[Any]", entries) if isinstance(entry, dict)]


def _ago(age_s: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if age_s >= 2 * length_s:
            return f"{age_s / length_s:.0f} {unit}"
    return f"{max(0.0, age_s):.0f} seconds"


# -- what is kept ----------------------------------------------------------------------------------


class _Kept:
    """The latest answer of one endpoint to one key, on disk."""

    def __init__(self, folder: Path, client: Any) -> None:
        self._file = folder / f"compliance-{client.identity}.json"

    def read(self) -> Optional[tuple[dict[str, Any], float]]:
        """The answer and its age in seconds; None where there is none that can be used."""
        try:
            held: Any = json.loads(self._file.read_text("utf-8"))
            answer, at = held["answer"], float(held["fetched_at"])
            if isinstance(answer["packs"], list) and isinstance(answer["rules"], list):
                return answer, time.time() - at
        except (OSError, ValueError, TypeError, KeyError):
            pass
        return None

    def write(self, answer: Mapping[str, Any]) -> None:
        """Keep an answer; where that is impossible, it is not kept."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".compliance-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump({"fetched_at": time.time(), "answer": answer}, file)
                os.replace(name, self._file)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            _logger.debug("compliance rules are not kept on disk: %s", error)


def _cache_folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    if given and os.path.isabs(given):
        return Path(given) / "peekr"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "peekr" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "peekr"
    return Path.home() / ".cache" / "peekr"
