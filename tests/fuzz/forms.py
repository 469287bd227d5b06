"""Forms that begin as a portal would send them and are then spoilt: what a stranger may post."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

from tests.fuzz import wsgi

FORM = "application/x-www-form-urlencoded"
KINDS = [
    FORM,
    FORM,
    FORM,
    FORM,
    "",
    f"{FORM}; charset=windows-1251",
    f"{FORM}; charset=utf-16",
    f"{FORM}; charset=hex",
    f"{FORM}; charset=punycode",
    f"{FORM}; charset=utf-7",
    f"{FORM}; charset=unicode_escape",
    f"{FORM}; charset=rot13",
    f"{FORM}; charset=idna",
    f"{FORM}; charset=undefined",
    f"{FORM}; charset=no-such-charset",
    f"{FORM}; charset=\xff",
    "application/json",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=" + "y" * 300,
    "text/plain",
    "application/xml",
    "*/*",
    ";;;",
]
ODD = [
    "",
    "0",
    "-1",
    "9" * 40,
    "1e999999",
    "NaN",
    "\0",
    "a\0b",
    "\ud83d",
    "ё" * 300,
    "x" * 5000,
    "$result[x]",
    "' OR 1=1 --",
    "\r\nSet-Cookie: x=y",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "{{7*7}}%s%(x)s{0}",
    "%00%ff",
    "Y",
    "f" * 32,
    "🦊\u202e",
]


def words(text: str) -> list[str]:
    """A long list, short to read."""
    return text.split()


@dataclass(frozen=True)
class Post:
    """What is sent to a door: `query` and `body` as bytes on the wire."""

    kind: str
    query: str
    body: bytes
    method: str = "POST"


def handler_fields(member_id: str, application_token: str) -> dict[str, str]:
    return {
        "workflow_id": "5f1",
        "code": "double",
        "ts": str(int(time.time())),
        "document_id[0]": "crm",
        "document_id[1]": "CCrmDocumentDeal",
        "document_id[2]": "DEAL_42",
        "document_type[2]": "DEAL",
        "event_token": "5f|A1|sig",
        "use_subscription": "Y",
        "timeout_duration": "0",
        "properties[amount]": "21.5",
        "auth[access_token]": "a" * 32,
        "auth[refresh_token]": "r" * 32,
        "auth[domain]": "p.bitrix24.com",
        "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
        "auth[client_endpoint]": "https://p.bitrix24.com/rest/",
        "auth[member_id]": member_id,
        "auth[user_id]": "1",
        "auth[application_token]": application_token,
    }


def frame_fields(member_id: str, application_token: str) -> dict[str, str]:
    return {
        "AUTH_ID": "a" * 32,
        "AUTH_EXPIRES": "3600",
        "REFRESH_ID": "r" * 32,
        "SERVER_ENDPOINT": "https://oauth.bitrix.info/rest/",
        "APPLICATION_TOKEN": application_token,
        "APPLICATION_SCOPE": "bizproc",
        "member_id": member_id,
        "status": "L",
        "PLACEMENT": "DEFAULT",
        "PLACEMENT_OPTIONS": "{}",
        "client_endpoint": "https://p.bitrix24.com/rest/",
        "DOMAIN": "p.bitrix24.com",
    }


def event_fields(event: str, member_id: str, application_token: str) -> dict[str, str]:
    return {
        "event": event,
        "event_handler_id": "1",
        "ts": str(int(time.time())),
        "data[VERSION]": "1",
        "data[PREVIOUS_VERSION]": "1",
        "data[LANGUAGE_ID]": "ru",
        "data[CLEAN]": "1",
        "auth[access_token]": "a" * 32,
        "auth[refresh_token]": "r" * 32,
        "auth[expires_in]": "3600",
        "auth[domain]": "p.bitrix24.com",
        "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
        "auth[client_endpoint]": "https://p.bitrix24.com/rest/",
        "auth[member_id]": member_id,
        "auth[application_token]": application_token,
    }


QUERY = {"DOMAIN": "p.bitrix24.com", "PROTOCOL": "1", "LANG": "ru", "APP_SID": "s", "v": "1"}


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def escaped(text: str) -> str:
    """Percent-encoded, half characters too."""
    return quote_plus(_wire(text))


@st.composite
def posts(draw: st.DrawFn, fields: dict[str, str], hostile: list[str]) -> Post:
    """`fields` with up to five of them spoilt (another value, gone, a list, nested, twice), in a body of some
    type and charset; now and then bytes that are no form at all. `hostile` are values of an attacker."""
    pairs = [list(pair) for pair in fields.items()]
    values = st.one_of(st.sampled_from([*ODD, *hostile, *hostile]), st.text(max_size=40))
    for _ in range(draw(st.integers(0, 5))):
        if not pairs:
            break
        place = draw(st.integers(0, len(pairs) - 1))
        name = pairs[place][0]
        what = draw(
            st.sampled_from(["value", "value", "value", "gone", "list", "deep", "twice", "case", "bare"])
        )
        if what == "value":
            pairs[place][1] = draw(values)
        elif what == "gone":
            del pairs[place]
        elif what == "list":
            pairs[place][0] = name + draw(st.sampled_from(["[]", "[0]", "[x]", "[-1]", "[" + "9" * 30 + "]"]))
        elif what == "deep":
            pairs[place][0] = name + "[x]" * draw(st.sampled_from([2, 15, 16, 70, 2000]))
        elif what == "twice":
            pairs.insert(draw(st.integers(0, len(pairs))), [name, draw(values)])
        elif what == "case":
            pairs[place][0] = name.swapcase()
        else:
            pairs[place] = [name.partition("[")[0], draw(values)]
    kind = draw(st.sampled_from(KINDS))
    escape = draw(st.sampled_from([quote_plus, quote]))
    shape = draw(st.sampled_from(["form"] * 6 + ["bytes", "json", "multipart", "cut"]))
    body = b"&".join(
        escape(_wire(name)).encode() + b"=" + escape(_wire(value)).encode() for name, value in pairs
    )
    if shape == "bytes":
        body = draw(st.binary(max_size=200))
    elif shape == "json":
        kind, body = "application/json", b'{"auth": {"member_id": ["x"]}, "event": 1}'
    elif shape == "multipart":
        kind = "multipart/form-data; boundary=x"
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (_wire(name), _wire(value))
            for name, value in pairs
        ) + draw(st.sampled_from([b"--x--\r\n", b"", b"--x"]))
    elif shape == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    query = {**QUERY, **draw(st.dictionaries(st.sampled_from([*QUERY, "x[", "a[][]"]), values, max_size=3))}
    text = "&".join(f"{escaped(name)}={escaped(value)}" for name, value in query.items())
    return Post(kind, text, body, draw(st.sampled_from(["POST"] * 12 + ["GET", "PUT", "HEAD", "OPTIONS"])))


def send(path: str, post: Post) -> wsgi.Answer:
    """The hub's answer to it."""
    return wsgi.knock(path, post.method, post.body, post.kind, post.query)
