"""Recorded text made safe to print: what could steer a terminal is shown instead of obeyed.

Prompts and model outputs are written by strangers. A raw escape sequence in one of them can
recolour, overwrite or retitle the terminal of whoever looks at the trace, and a bidirectional
override can make a line read differently from what it says. Standard library only.
"""

from __future__ import annotations

import re

__all__ = ["clean", "clean_json", "clean_lines"]

# C0, DEL and C1 controls; bidirectional marks, embeddings, overrides and isolates; line and
# paragraph separators; invisible operators; byte order mark; interlinear annotation; lone
# surrogates (no encoding takes them); tags (invisible text). Zero-width (non-)joiners stay:
# Persian, Hindi and emoji are spelled with them.
_HIDDEN_ABOVE_ASCII = (
    "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(f"[\x00-\x1f{_HIDDEN_ABOVE_ASCII}]")
_HIDDEN_BUT_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{_HIDDEN_ABOVE_ASCII}]")
_HIDDEN_IN_JSON = re.compile(f"[{_HIDDEN_ABOVE_ASCII}]")

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str) -> str:
    r"""The text on one line, with control characters shown: ESC as `\x1b`, a line end as `\n`.

    Costs one pass in C where nothing has to be replaced, so it may run on the thread of a model
    call. Safe for any string, lone surrogates included.
    """
    return text if text.isprintable() else _HIDDEN.sub(_shown, text)


def clean_lines(text: str) -> str:
    """Like `clean`, but line ends and tabs stay; `CR LF` counts as one line end."""
    if text.isprintable():
        return text
    return _HIDDEN_BUT_LINES.sub(_shown, text.replace("\r\n", "\n"))


def clean_json(text: str) -> str:
    r"""JSON text with what may not reach a terminal written as `\uXXXX`.

    A JSON serialiser escapes the controls below the space and leaves the others. The result is
    the same JSON value.
    """
    return text if text.isprintable() else _HIDDEN_IN_JSON.sub(_json_escape, text)


def _shown(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if code <= 0xFF:
        return _SHORT.get(char) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
