"""One line of a JSONL file as a record."""

from __future__ import annotations

from peekr.encoding import loads
from peekr.record import FORMER_ID_CHARS, SpanRecord

__all__ = ["BOM", "NotARecordError", "parse_line", "second_try"]

BOM = b"\xef\xbb\xbf"
"""What some editors put at the beginning of a file."""


class NotARecordError(Exception):
    """The line holds no record; the message says why."""


def parse_line(line: bytes) -> tuple[SpanRecord, bool]:
    """The record on a line, and whether all of it could be read.

    A line that is not UTF-8 is read with U+FFFD in the place of what is wrong.

    Raises:
        NotARecordError: there is no record on it.
    """
    is_whole = True
    try:
        value = loads(line)
    except RecursionError:
        raise NotARecordError("nested too deeply") from None
    except ValueError:
        value, is_whole = second_try(line), False
    if not isinstance(value, dict):
        raise NotARecordError("no span record")
    try:
        record = SpanRecord.from_dict(value)  # pyright: ignore[reportUnknownArgumentType]
    except ValueError:
        raise NotARecordError("no span record") from None
    except OverflowError:
        raise NotARecordError("a number out of range") from None
    if len(record.span_id) == FORMER_ID_CHARS:
        from peekr.dialects.former import modernise

        modernise(record.attributes)
    return record, is_whole


def second_try(line: bytes) -> object:
    """The JSON value on a line that is not UTF-8, wrong bytes replaced.

    Raises:
        NotARecordError: the line is no JSON, or not even so.
    """
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise NotARecordError("not UTF-8") from None
    start = line.lstrip()[:1]
    whole = line.rstrip().endswith(b"}")
    raise NotARecordError("cut off" if start == b"{" and not whole else "not JSON") from None
