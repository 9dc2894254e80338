"""Texts with and without personal data, and what a guard makes of them: precision and recall.

A case is a text in which what is to be found stands in double angle brackets, with its category:
`write to <<email:jane@example.com>>`. Cases without brackets hold nothing to find. The cases that
are known to go wrong stay among the others, so that the figures are of use.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Set, Tuple

_MARK = re.compile(r"<<(\w+):(.*?)>>", re.DOTALL)

EMAIL = """
write to <<email:jane@example.com>> today
<<email:jane.doe+tag@mail.example.co.uk>>
Contact: <<email:a_b-c%d@sub.example.museum>>.
<mailto:<<email:jane@example.org>>>
{"to":"<<email:x@y.io>>"}
q=jane&to=<<email:jane%40example.com>>&x=1
https://example.com/?email=<<email:jane@example.com>>
<<email:o.brien@example.ie>>, <<email:m.mueller@example.de>>; done
<<email:用户@例子.广告>>
<<email:josé@correo.es>>
JANE: <<email:JANE@EXAMPLE.COM>>!
\\n<<email:jane@example.com>>\\nthanks
Traceback: ValueError('no user <<email:jane@example.com>>')
user=<<email:jane@example.com>>;role=admin
<<email:jane@xn--bcher-kva.example>>
<<email:first.last@192-168.example.net>>
(<<email:1234567890@example.com>>)
<<email:jane@example.technology>>: hi
<<email:jane@example.com>>_old
jane (at) example (dot) com
the file logo@2x.png is missing
lodash@4.17.21 and react@18.2.0
@app.route("/x") and @dataclass
git@github.com:org/project.git
a @ b @ c
ssh root@localhost
name@
@example.com
matrix a@b
cost is 5@10
user@host in prose
email me
x@1.2.3
numpy@https
const a = b@c;
"""

CARD = """
<<credit_card:4111111111111111>>
<<credit_card:4111 1111 1111 1111>> exp 12/26 cvv 123
<<credit_card:5555-5555-5555-4444>>
amex <<credit_card:378282246310005>>, <<credit_card:3714 496353 98431>>
<<credit_card:6011111111111117>>
<<credit_card:30569309025904>>
<<credit_card:3530111333300000>>
<<credit_card:2223003122003222>>
<<credit_card:6200000000000005>>
<<credit_card:4012888888881881>>.
card: <<credit_card:4242.4242.4242.4242>>
{"card":<<credit_card:4242424242424242>>}
pay with <<credit_card:4000056655665556>>!
\\n<<credit_card:5105105105105100>>
<<credit_card:6759649826438453>>
<<credit_card:2200000000000004>>
12 <<credit_card:4111 1111 1111 1111>>
<<credit_card:4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1>>
order_<<credit_card:4111111111111111>>
<<credit_card:4111\u00a01111\u00a01111\u00a01111>>
<<credit_card:\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11>>
4111 1111 1111 1112
4111111111111112
1234567812345670
0000000000000000
1732368245123456
1732368245123456789
1732368245000
isbn 978-3-16-148410-0
imei 490154203237518
a4111111111111111
41111111111111111111
0.4111111111111111
4111111111111111.25
trace_id=4bf92f3577b34da6a3ce929d0e0e4736
span_id: 4111111111111111
550e8400-e29b-41d4-a716-446655440000
12345678-1234-4123-8123-123456789012
00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
[0.4929292929, -0.1234567890123456, 0.5105105105105100]
sha256 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
2024 2023 2022 2021
order number 1000000000000008
tracking 1Z999AA10123456784
9400111899223197428490
[-678966196, 573763426263223372, 5749986484189612790, -1006381]
user 4929183746501928374
debit card <<credit_card:6304000000000000000>>
<<credit_card:4222222222222>>
"""

SSN = """
ssn <<ssn:123-45-6789>>
SSN: <<ssn:123 45 6789>>
<<ssn:536-22-1234>>
my social security number is <<ssn:219099998>>
{"ssn":"<<ssn:536221234>>"}
<<ssn:001-01-0001>>.
social <<ssn:899\u201112\u20113456>>
row 5 <<ssn:123-45-6789>>
\\n<<ssn:536-22-1234>>\\n
taxpayer id <<ssn:536221234>>
hers is <<ssn:536221234>>, she says
000-12-3456
666-12-3456
900-12-3456
123-00-4567
123-45-0000
1-123-45-6789
123-45-6789-0
zip 12345-6789
2024-11-23
536221234
id 123456789
123-456-789
part 123-45-67890
0123-45-6789
100 123 45 6789 200
abc123-45-6789
+123 45 6789
"""

PHONE = """
call <<phone:(415) 555-2671>>
<<phone:415-555-2671>>
<<phone:415.555.2671>>
<<phone:+1 415 555 2671>>
<<phone:+1-415-555-2671>>
<<phone:+14155552671>>
<<phone:1-800-555-0199>>
<<phone:555-123-4567>>
<<phone:415 555 2671>>
<<phone:415-555-2671 x123>>
<<phone:+44 20 7946 0958>>
<<phone:+442079460958>>
<<phone:+49 30 901820>>
<<phone:+33 1 42 68 53 00>>
<<phone:+81 3-3224-9999>>
<<phone:+91 98765 43210>>
<<phone:+971 4 330 0000>>
<<phone:+966 11 288 6666>>
<<phone:+55 (11) 91234-5678>>
<<phone:0049 30 901820>>
<<phone:020 7946 0958>>
<<phone:07700 900123>>
<<phone:01 42 68 53 00>>
Tel. <<phone:030 901820>>
phone: <<phone:4155552671>>
call me at <<phone:555-0123>>
{"phone":"<<phone:4155552671>>"}
mobile number <<phone:9876543210>>
whatsapp <<phone:447700900123>>
text me: <<phone:(415)555-2671>>
\\n<<phone:415-555-2671>>
tel:<<phone:+1-201-555-0123>>
<<phone:+41 44 668 18 00>> and <<phone:+43 1 711 00>>
fax <<phone:212.555.0100>>, office
<<phone:+61 2 9374 4000>>;ext=5
1732368245
1732368245000
2024-11-23 10:15:00
2024-11-23T10:15:00.123456Z
20241123101500
order 1234567890
200 300 4000
1,234,567,890
12.345.678.901
<<ip_address:192.168.100.200>>
10.15.7.1234567
550e8400-e29b-41d4-a716-446655440000
12345678-1234-4123-8123-123456789012
4bf92f3577b34da6a3ce929d0e0e4736
0x4155552671
id=4155552671
3.14159265358979
[1234567, 2345678, 3456789]
01 02 03 04 05
pages 415-555
1995-2003-2011
1234-5678-9012
a415-555-2671
line 12345678
bytes=1048576000
12345 67890
+1 is a reaction
1 000 000 000
2026/11/23 09:30
$1 234 567.89
11/11/04 11/12/04 11/13/04 11/14/04
part no. 123-456-7890
reached her on <<phone:98765 43210>>
<<phone:4155552671>> is hers
"""

IP = """
from <<ip_address:192.168.1.1>>
<<ip_address:8.8.8.8>>:53
http://<<ip_address:203.0.113.7>>:8080/x
<<ip_address:10.0.0.0>>/8
user@<<ip_address:10.1.2.3>>
<<ip_address:2001:db8::ff00:42:8329>>
[<<ip_address:2001:db8::1>>]:443
<<ip_address:fe80::1ff:fe23:4567:890a%eth0>>
<<ip_address:::ffff:192.0.2.128>>
<<ip_address:2001:0db8:85a3:0000:0000:8a2e:0370:7334>>
client=<<ip_address:198.51.100.23>>, port=1
<<ip_address:255.255.255.255>>.
host-<<ip_address:192.168.1.20>>
/hosts/<<ip_address:192.168.1.1>>/x
{"ip":"<<ip_address:203.0.113.9>>"}
\\n<<ip_address:203.0.113.9>>
<<ip_address:1.1.1.1>>
<<ip_address:127.0.0.1>>
version 1.2.3.4
v1.2.3.4
numpy==1.2.3.4
pkg-1.2.3.4.tar.gz
Chrome/120.0.0.0 Safari/537.36
Edg/120.0.2210.91
1.2.3
1.2.3.4.5
256.1.1.1
1.2.3.999
01.02.03.04
release 10.0.0.1
section 1.2.3.4
std::vector and a::b
x[1::2]
12:30:45
aa:bb:cc:dd:ee:ff
fade::cafe
10:20:30:40
service.version: 1.2.3.4
tool-1.2.3.4-rc1
OID 1.3.6.1
5.10.0.1-generic
http://localhost:8080
::
upgrade from 1.2.3.4 to a newer one
"""

NOTHING = """
4bf92f3577b34da6a3ce929d0e0e4736
00f067aa0ba902b7
d41d8cd98f00b204e9800998ecf8427e
da39a3ee5e6b4b0d3255bfef95601890afd80709
req_011CSHoEeqs5C35K2UUqR7Fy
chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012345
msg_01XFDUDYJgAACzvnptvVoYEL
01890a5d-ac96-774b-bcce-b302099a8057
{"time":1732368245.123456,"n":[1,2,3],"id":"7f3c9e1a-2b4d-4e6f-8a9b-0c1d2e3f4a5b"}
2024-11-23 10:15:00,123 INFO 12345 --- [main] started in 1.234 seconds
iPhone 15 Pro Max 256 GB, model A3108, €1,449.00
Room 101, floor 3, 12345 Berlin
ISO 9001:2015, RFC 2119, HTTP/1.1 200 OK
99.9 % of 1,000,000 requests in 250 ms
SELECT * FROM t WHERE a = 12345678 AND b < 87654321
f(x) = 3x^2 + 2x - 1
temperature 36.6, pressure 120/80
"""

CATEGORIES = {
    "email": EMAIL,
    "credit_card": CARD,
    "ssn": SSN,
    "phone": PHONE,
    "ip_address": IP,
    "nothing": NOTHING,
}


class Case(NamedTuple):
    """One text, and the places in it that are to be found."""

    text: str
    wanted: Tuple[Tuple[str, int, int], ...]


class Figures(NamedTuple):
    """What was found of what is there."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)


def cases(category: str) -> List[Case]:
    """The cases under a category; they may hold something of others."""
    return [_case(line) for line in CATEGORIES[category].splitlines() if line]


def count() -> int:
    """How many cases there are."""
    return sum(len(cases(category)) for category in CATEGORIES)


def _case(line: str) -> Case:
    pieces: List[str] = []
    wanted: List[Tuple[str, int, int]] = []
    length = at = 0
    for match in _MARK.finditer(line):
        pieces += (line[at : match.start()], match[2])
        start = length + match.start() - at
        wanted.append((match[1], start, start + len(match[2])))
        length, at = start + len(match[2]), match.end()
    return Case("".join(pieces) + line[at:], tuple(wanted))


def outcome(guard: Any, case: Case) -> Tuple[int, int, int]:
    """How many places were found, found wrongly, and missed, in one case.

    A place is found when findings of its category cover all of it; more than eight characters
    beyond it are a wrong finding.
    """
    found = [(find.rule, find.start, find.end) for find in guard.check(case.text, "input")]
    right = 0
    used: Set[int] = set()
    for category, start, end in case.wanted:
        for index, (rule, first, last) in enumerate(found):
            beyond = (last - first) - (end - start)
            if rule == category and first <= start and last >= end and beyond <= 8:
                right += 1
                used.add(index)
                break
    return right, len(found) - len(used), len(case.wanted) - right


def figures(guard: Any) -> Dict[str, Figures]:
    """The figures of a guard by the category of the cases, and of all together under `all`."""
    made: Dict[str, Figures] = {}
    for category in CATEGORIES:
        counts = [outcome(guard, case) for case in cases(category)]
        made[category] = Figures(*(sum(column) for column in zip(*counts)))
    made["all"] = Figures(*(sum(column) for column in zip(*made.values())))
    return made


def wrong_cases(guard: Any) -> List[str]:
    """The texts of the cases that go wrong."""
    return [
        case.text
        for category in CATEGORIES
        for case in cases(category)
        if outcome(guard, case)[1:] != (0, 0)
    ]
