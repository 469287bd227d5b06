"""The vendor's own SDK against the sandbox: what speaks to a portal speaks to it (contract §2, §4, §5, §7).

`b24pysdk` speaks https only, builds addresses of a portal's domain and names one token server as a constant. So
names are led to the sandbox where connections are made, and an authority of the test's own vouches for them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3.util.connection
from b24pysdk import BitrixApp, BitrixToken, Client
from b24pysdk.errors import BitrixAPIError

from tests.contract import authority
from tests.sandbox.lab import Hub, Lab, Process

PORTAL, TOKEN_SERVER = "sdk.bitrix24.com", "oauth.bitrix24.tech"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A portal of the sandbox at its own name over TLS, and the RU token server at the vendor's."""
    trusted, certificate, key = authority.make(tmp_path, [PORTAL, TOKEN_SERVER])
    process = Process("--no-snapshot", "--ru-port", "0", "--tls-cert", certificate, "--tls-key", key)
    process.web.verify = trusted
    servers = process.get("info")["servers"]
    led = {
        (PORTAL, 443): ("127.0.0.1", urlsplit(process.base).port),
        (TOKEN_SERVER, 443): ("127.0.0.1", urlsplit(servers["ru"]["url"]).port),
    }
    connect = urllib3.util.connection.create_connection

    def to_the_sandbox(address: tuple[str, int], *words: Any, **more: Any) -> Any:
        assert address in led or address[0] == "127.0.0.1", f"a request left for {address}"
        return connect(led.get(address, address), *words, **more)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", to_the_sandbox)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    monkeypatch.setenv("NO_PROXY", "*")
    hub = Hub()
    yield Lab(process, hub, {"server": "ru", "domain": PORTAL, "by_host": True})
    hub.close()
    process.stop()


@pytest.fixture
def client(lab: Lab) -> Client:
    token = BitrixToken(
        domain=PORTAL,
        auth_token=lab.token,
        refresh_token=lab.refresh,
        expires_in=3600,
        bitrix_app=BitrixApp(client_id=lab.client_id, client_secret=lab.secret),
    )
    return Client(token)


def add(lab: Lab, client: Client, code: str) -> Any:
    return client.bizproc.robot.add(
        code,
        lab.handler,
        {"en": "Discount", "ru": "Скидка"},
        auth_user_id=1,
        use_subscription=True,
        properties={"amount": {"Name": {"en": "Amount"}, "Type": "double"}},
        return_properties={"total": {"Name": {"en": "Total"}, "Type": "double"}},
    ).result


def test_s5_s7_the_sdk_does_the_whole_life_of_a_robot(lab: Lab, client: Client) -> None:
    assert lab.endpoint == f"https://{PORTAL}/rest/"
    assert add(lab, client, "discount") is True
    assert client.bizproc.robot.list().result == ["discount"]
    assert client.bizproc.robot.update(
        "discount", {"NAME": {"en": "Half"}, "FILTER": {"INCLUDE": ["b24"]}}
    ).result
    process, form = lab.run(properties={"amount": "21"})
    told = client.bizproc.event.send(form["event_token"], {"total": "42"}, log_message="halved")
    assert told.result is True
    assert lab.ended(process)["steps"][0]["values"] == {"total": "42"}
    assert client.bizproc.robot.delete("discount").result is True
    assert client.bizproc.robot.list().result == []


def test_s2_the_sdk_renews_an_expired_token_at_the_vendors_token_server(lab: Lab, client: Client) -> None:
    token = client._bitrix_token
    lab.control("expire", client_id=lab.client_id)
    assert add(lab, client, "discount") is True
    assert token.auth_token != lab.token and token.refresh_token != lab.refresh
    told = token.get_app_info()
    assert told.result.install.member_id == lab.portal["member_id"]
    token.expires = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert client.bizproc.robot.list().result == ["discount"]
    assert lab.stats()["authorisations_killed"] == 0


def test_s4_the_sdk_sends_fifty_results_in_a_batch(lab: Lab, client: Client) -> None:
    add(lab, client, "discount")
    runs = [lab.run(properties={"amount": str(number)}) for number in range(50)]
    sends = {
        f"r{number}": client.bizproc.event.send(form["event_token"], {"total": str(number)})
        for number, (_process, form) in enumerate(runs)
    }
    answer = client.call_batch(sends).result
    assert answer.result == dict.fromkeys(sends, True)
    for number, (process, _form) in enumerate(runs):
        assert lab.ended(process)["steps"][0]["values"] == {"total": str(number)}


def test_s5_the_sdk_is_told_refusals_by_code(lab: Lab, client: Client) -> None:
    add(lab, client, "discount")
    with pytest.raises(BitrixAPIError) as twice:
        add(lab, client, "discount")
    assert twice.value.error == "ERROR_ACTIVITY_ALREADY_INSTALLED"
    with pytest.raises(BitrixAPIError) as wrong:
        _ = client.bizproc.event.send("x|y|z", {"total": "1"}).result
    assert wrong.value.error.upper() == "ACCESS_DENIED"
