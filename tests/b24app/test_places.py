"""Pages hold at most half of a web process's threads; calls have the rest (design §2 rule 9)."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from b24app.lean import LeanPath


def _request(path: str) -> HttpRequest:
    request = HttpRequest()
    request.path = request.path_info = path
    request.method = "GET"
    return request


@pytest.fixture
def hanging(settings: Any) -> Any:
    """A process of four threads whose pages wait for a database that hangs until `go_on` is set."""
    settings.WEB_THREADS = 4
    go_on, arrived = threading.Event(), threading.Semaphore(0)

    def page(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/admin"):
            arrived.release()
            assert go_on.wait(30)
        return HttpResponse("page")

    process = LeanPath(page)
    threads = [
        threading.Thread(target=lambda: process(_request("/admin/")).close(), daemon=True) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=30)
    yield process, go_on, threads
    go_on.set()


def test_the_page_that_is_one_too_many_is_told_to_come_again(hanging: Any) -> None:
    process, go_on, threads = hanging
    answer = process(_request("/api/v1/"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    # Calls and whoever watches the process are answered all the same.
    assert process(_request("/healthz")).status_code == 200
    assert process(_request("/b24/main/handler/")).status_code == 405
    go_on.set()
    for thread in threads:
        thread.join()
    assert process(_request("/api/v1/")).status_code == 200


def test_a_place_is_held_until_the_answer_is_sent_and_given_back_once(settings: Any) -> None:
    settings.WEB_THREADS = 2
    process = LeanPath(lambda request: StreamingHttpResponse(["a", "b"]))
    download = process(_request("/admin/csv/"))
    assert process(_request("/admin/")).status_code == 503
    download.close()
    download.close()
    process(_request("/admin/")).close()


def test_a_page_that_fails_gives_its_place_back(settings: Any) -> None:
    settings.WEB_THREADS = 2

    def page(_request: HttpRequest) -> HttpResponse:
        raise RuntimeError("no answer")

    process = LeanPath(page)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            process(_request("/admin/"))


def test_threads_are_switched_sooner_while_a_page_is_served(settings: Any) -> None:
    settings.WEB_THREADS = 4
    usual = sys.getswitchinterval()
    process = LeanPath(lambda request: StreamingHttpResponse(["a", "b"]))
    try:
        downloads = [process(_request("/admin/csv/")) for _ in range(2)]
        assert sys.getswitchinterval() == pytest.approx(0.0002)
        downloads[0].close()
        assert sys.getswitchinterval() == pytest.approx(0.0002)
        downloads[1].close()
        assert sys.getswitchinterval() == pytest.approx(0.005)
    finally:
        sys.setswitchinterval(usual)
