"""Guardrails: what is kept out of the record, and what a model may not be asked or answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.canaries import RedactionReport, verify_redaction
    from peekr.guard.base import BaseGuardrail, Finding
    from peekr.guard.blocklist import Blocklist
    from peekr.guard.hallucination import HallucinationBlock
    from peekr.guard.pii import PIIRedact

__all__ = [
    "BaseGuardrail",
    "Blocklist",
    "Finding",
    "HallucinationBlock",
    "PIIRedact",
    "RedactionReport",
    "verify_redaction",
]

# Loaded at first use, as in the root package: a program pays for the guards that it uses.
_HOMES = {
    "BaseGuardrail": "peekr.guard.base",
    "Blocklist": "peekr.guard.blocklist",
    "Finding": "peekr.guard.base",
    "HallucinationBlock": "peekr.guard.hallucination",
    "PIIRedact": "peekr.guard.pii",
    "RedactionReport": "peekr.canaries",
    "verify_redaction": "peekr.canaries",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
