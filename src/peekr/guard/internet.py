"""E-mail addresses and IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from peekr.guard.surroundings import is_called, is_part_of_identifier

__all__ = ["emails", "ipv4s", "ipv6s", "may_have_ipv6"]

Place = tuple[int, int]

_LOCAL = frozenset(".!#$%&'*+/=?^_`{|}~-")
_MAX_LOCAL = 64
_DOMAIN = re.compile(r"(?:@|%40|\uff20)([\w-]+(?:\.[\w-]+)+)", re.I)
_TOP = re.compile(r"xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24}", re.I)
# Endings of file names that no registry has as a top-level domain: `logo@2x.png`.
_FILE_ENDINGS = (
    "png jpg jpeg gif svg webp ico bmp tiff css js jsx ts tsx json html htm xml yml yaml toml txt"
    " csv pdf doc docx xls xlsx tar gz tgz bz2 whl exe dll dylib php java class"
)
_FILES = frozenset(_FILE_ENDINGS.split())
_VERSION_CONTROL = frozenset(("git", "hg", "svn"))


def emails(text: str) -> Iterator[Place]:
    """E-mail addresses; also with `%40` for the `@`, as URLs have them."""
    for match in _DOMAIN.finditer(text):
        start = _local_start(text, match.start())
        if start == match.start():
            continue
        end = match.end(1)
        domain = match[1]
        stripped = domain.rstrip("-_")
        end -= len(domain) - len(stripped)
        labels = stripped.split(".")
        # `jane@example.com_old`, `jane@example.com-`: what follows the domain is none of it.
        top = _TOP.match(labels[-1])
        if top is None or top[0].casefold() in _FILES:
            continue
        end -= len(labels[-1]) - top.end()
        if not all(labels) or (
            text[start : match.start()] in _VERSION_CONTROL and text[end : end + 1] == ":"
        ):
            continue
        yield start, end


def _local_start(text: str, at: int) -> int:
    least = max(0, at - _MAX_LOCAL)
    start = at
    while start > least and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
        start -= 1
    if start == at and text[at - 1 : at] == '"':
        # A quoted local part: `"jane doe"@example.com`.
        opening = text.rfind('"', least, max(0, at - 1))
        return opening if opening >= 0 and "\n" not in text[opening:at] else at
    # What is written before an address without a gap: `mailto=`, `?to=`, `/users/`.
    for mark in ("=", "?", "&", "/", "|"):
        cut = text.rfind(mark, start, at)
        if cut >= 0:
            start = cut + 1
    while start < at and text[start] in ".'`{}":
        start += 1
    if start >= 1 and text[start - 1] == "\\" and text[start : start + 1] in ("n", "r", "t"):
        start += 1
    return start


_IPV4 = re.compile(r"(?<![\d.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\d)")
_VERSION_NAME = re.compile(
    r"(?:\bv|\bver(?:sion)?|\brelease|\brev(?:ision)?|\bbuild|\bfirmware|\bupgraded? to|"
    r"_version|\.version|[a-z]version|\bversions|\bsection|\bchapter|\bfigure|\boid|§)"
    r"\W{0,4}$",
    re.I,
)
_REQUIREMENT = re.compile(r"[=~<>!^]=\s?$")
_PRODUCT = re.compile(r"(?:(?:^|[\s(\"',;])[A-Za-z][\w.+-]*/|[A-Za-z][\w.]*[-_])$")


def ipv4s(text: str, run: Place) -> Iterator[Place]:
    """IPv4 addresses within a run of digits, and no version numbers."""
    start, end = run
    for match in _IPV4.finditer(text, start, min(len(text), end + 1)):
        octets = match.groups()
        if any(int(octet) > 255 or (len(octet) > 1 and octet[0] == "0") for octet in octets):
            continue
        at, after = match.start(), match.end()
        following = text[after : after + 2]
        # A fifth number, a file's ending, a pre-release: `1.2.3.4.5`, `1.2.3.4.zip`, `1.2.3.4-rc`.
        if len(following) == 2 and (
            (following[0] in ".+_" and following[1].isalnum())
            or (following[0] == "-" and following[1].isalpha())
        ):
            continue
        if following[:1].isalpha():
            continue
        before = text[max(0, at - 2) : at]
        if before[-1:].isalpha() and not (before[-1] in "nrt" and before[:1] == "\\"):
            continue
        least = max(0, at - 40)
        if _REQUIREMENT.search(text, least, at):
            continue
        # `Chrome/120.0.0.0`, `tool-1.2.3.4`; but `host-192.168.1.20`.
        if (octets[3] == "0" or all(int(octet) < 100 for octet in octets)) and _PRODUCT.search(
            text, least, at
        ):
            continue
        if is_called(text, at, _VERSION_NAME):
            continue
        yield match.span()


_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4})"
    r"(?:%[\w.]{1,16})?(?![\w:])",
    re.I,
)


_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_OF_IPV6 = frozenset("0123456789abcdefABCDEF:")


def may_have_ipv6(text: str) -> bool:
    """Whether a text has as many colons as an IPv6 address has."""
    return "::" in text or text.count(":") >= 7


def ipv6s(text: str) -> Iterator[Place]:
    """IPv6 addresses; no times, no hardware addresses, no slices and no paths of code."""
    last = 0
    for colons in _COLONS.finditer(text):
        start = colons.start()
        if start < last:
            continue
        least = max(last, start - 40)
        while start > least and text[start - 1] in _OF_IPV6:
            start -= 1
        match = _IPV6.match(text, start)
        if match is None:
            continue
        last = match.end()
        written = match[0]
        try:
            address = ipaddress.IPv6Address(written.partition("%")[0])
        except ValueError:
            continue
        if "::" in written and not _is_written_as_address(written, address):
            continue
        if is_part_of_identifier(text, *match.span()):
            continue
        yield match.span()


def _is_written_as_address(written: str, address: ipaddress.IPv6Address) -> bool:
    """Whether it is more than what code has as well: `a::b`, `[1::2]`."""
    if "." in written:
        return True
    first = written.partition(":")[0]
    top = int(address) >> 112
    return len(first) == 4 and any(low <= top <= high for low, high in _GIVEN)


# Global unicast, unique local, link-local, multicast. Source: IANA's IPv6 address space.
_GIVEN = ((0x2000, 0x3FFF), (0xFC00, 0xFDFF), (0xFE80, 0xFEBF), (0xFF00, 0xFFFF))
