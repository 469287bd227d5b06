"""A form that can't be used, opened in the portal's frame: a page that the frame shows, in its language."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import ApplicationFactory

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
QUERY = "DOMAIN=client.bitrix24.ru&PROTOCOL=1&LANG={}"


@pytest.mark.parametrize("page", ["", "install/"])
@pytest.mark.parametrize(
    ("language", "body", "kind", "status", "sentence"),
    [
        ("ru", "member_id=abc", FORM, 400, "В форме нет токена обновления"),
        ("en", "member_id=abc", FORM, 400, "The form brings no refresh token"),
        ("ru", "AUTH_ID=x", FORM, 400, "Форма не называет портал"),
        ("ru", "member_id=abc&REFRESH_ID=a-secret%20with-blanks", FORM, 400, "refresh_token"),
        ("ru", "member_id=abc", "text/plain", 415, "Отправьте форму"),
        ("ru", "&".join(f"a{n}=" for n in range(20_001)), FORM, 413, "Форма слишком велика"),
    ],
)
def test_a_bad_form_is_told_inside_the_frame(page, language, body, kind, status, sentence):
    ApplicationFactory(slug="main")
    told = Client().post(f"/b24/main/{page}?{QUERY.format(language)}", body, content_type=kind)
    assert told.status_code == status
    text = told.content.decode()
    assert sentence in text
    assert f'lang="{language}"' in text
    assert "installFinish" not in text
    assert "a-secret" not in text
    assert told["Content-Type"].startswith("text/html")
    assert told["Content-Security-Policy"] == "frame-ancestors https://client.bitrix24.ru"
    assert "X-Frame-Options" not in told
    assert told["Content-Language"] == language


@pytest.mark.parametrize("page", ["events/", "install/"])
def test_a_bad_event_is_told_in_a_line_of_text(page):
    ApplicationFactory(slug="main")
    told = Client().post(f"/b24/main/{page}", "event=ONAPPINSTALL", content_type=FORM)
    assert (told.status_code, told["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_a_page_opened_by_hand_speaks_the_language_it_is_asked_in():
    ApplicationFactory(slug="main")
    told = Client().get("/b24/main/?LANG=ru")
    assert told.status_code == 405
    assert "открывает Битрикс24" in told.content.decode()
