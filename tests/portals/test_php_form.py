"""Forms as PHP reads them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portals import php_form, php_query
from portals.php_form import FormTooBig, parse

# As main/php_variables.c of PHP reads them; what PHP keeps as array(0 => …) is a list to us.
READ_BY_PHP = [
    ("a=1&a=2", {"a": "2"}),
    ("a[]=1&a[]=2", {"a": ["1", "2"]}),
    ("a[x]=1&a[]=2", {"a": {"x": "1", "0": "2"}}),
    ("a[5]=1&a[]=2", {"a": {"5": "1", "6": "2"}}),
    ("a[]=1&a[5]=2&a[]=3", {"a": {"0": "1", "5": "2", "6": "3"}}),
    ("a[1]=b&a[0]=a", {"a": ["a", "b"]}),
    ("a[01]=1", {"a": {"01": "1"}}),
    ("a=1&a[b]=2", {"a": {"b": "2"}}),
    ("a[b]=1&a=2", {"a": "2"}),
    ("a[b]=1&a[b][c]=2", {"a": {"b": {"c": "2"}}}),
    ("a[b]c[d]=1", {"a": {"b": "1"}}),
    ("a[b=1", {"a_b": "1"}),
    ("a[b][c=1", {"a": {"b": "1"}}),
    ("[a]=1", {}),
    ("=1", {}),
    ("a", {"a": ""}),
    ("a=", {"a": ""}),
    ("a=b=c", {"a": "b=c"}),
    ("&&a=1&", {"a": "1"}),
    ("", {}),
    ("a%5Bb%5D=%D1%8B+%2B", {"a": {"b": "ы +"}}),
    ("a[ b]=1&a[ ]=2", {"a": {" b": "1", "0": "2"}}),
    ("a[b[c]=1", {"a": {"b[c": "1"}}),
    ("a[][]=1&a[][]=2", {"a": [["1"], ["2"]]}),
    ("a[][x]=1&a[][x]=2", {"a": [{"x": "1"}, {"x": "2"}]}),
    ("a=%zz%4", {"a": "%zz%4"}),
]


@pytest.mark.contract("6.17")
@pytest.mark.parametrize(("body", "form"), READ_BY_PHP)
def test_s6_it_reads_as_php_does(body, form):
    assert parse(body.encode()) == form


def test_an_overwritten_list_lends_its_count_to_no_other():
    for _ in range(200):
        assert parse(b"a[x][]=1&a[x]=2&a[y][]=3") == {"a": {"x": "2", "y": ["3"]}}


def test_bytes_that_are_no_text_become_replacement_characters():
    assert parse(b"a=%FF%D1%8B") == {"a": "�ы"}
    assert parse(b"a=\xd1\x8b") == {"a": "ы"}
    assert parse(b"a=%FB", "windows-1251") == {"a": "ы"}
    assert parse(b"a=%D1%8B", "no-such-charset") == {"a": "ы"}
    assert parse(b"a=%D1%8B", "base64") == {"a": "ы"}


def test_nul_is_dropped():
    assert parse(b"a%00b=1%002&c=\x003") == {"ab": "12", "c": "3"}


def test_bounds():
    with pytest.raises(FormTooBig):
        parse(b"&" * php_form.MAX_FIELDS)
    deep = b"a" + b"[x]" * php_form.MAX_DEPTH
    assert parse(deep + b"=1&b=2") == {"b": "2"}
    # 20,000 appends that alternate with numbers: linear, or this test would not end in its time.
    many = b"&".join(b"a[]=1&a[%d]=2" % (n * 3) for n in range(php_form.MAX_FIELDS // 2 - 1))
    assert len(parse(many)["a"]) == php_form.MAX_FIELDS - 3  # a[0] came twice


# PHP writes names with blanks and dots that it reads back as underlines; so do we.
names = st.text(st.characters(codec="utf-8", exclude_characters="[]\0 ."), min_size=1, max_size=8).filter(
    lambda name: not name[0].isspace() and name.strip(" ") == name
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
inner_keys = names.filter(lambda key: not key.isdecimal())
trees = st.recursive(
    texts,
    lambda below: (
        st.lists(below, min_size=1, max_size=4) | st.dictionaries(inner_keys, below, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(names, trees, max_size=5))
def test_what_http_build_query_writes_is_read_back(tree):
    assert parse(php_query.build(tree).encode()) == tree


@given(st.dictionaries(names, trees, max_size=5))
def test_raw_brackets_and_percent_spaces_read_the_same(tree):
    pairs = [f"{quote(name, safe='[]')}={quote(value, safe='')}" for name, value in php_query._fields(tree)]
    assert parse("&".join(pairs).encode()) == tree


@given(st.binary(max_size=300))
def test_any_bytes_are_read_somehow(body):
    assert isinstance(parse(body), dict)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": "x y&z"}, "a=x+y%26z"),
        ({"a": True, "b": False}, "a=1&b=0"),
        ({"a": [1, {"b": 2}]}, "a%5B0%5D=1&a%5B1%5D%5Bb%5D=2"),
        ({}, ""),
    ],
)
def test_queries_as_php_writes_them(params, query):
    assert php_query.build(params) == query


@pytest.mark.contract("4.12", "4.13")
@pytest.mark.parametrize(
    ("params", "can"),
    [
        ({}, True),
        ({"EVENT_TOKEN": "5f|A1_2|x.y", "RETURN_VALUES": {"a": ["1", "2"]}}, True),
        ({"x": []}, False),
        ({"x": {"y": {}}}, False),
        ({"x": None}, False),
        ({"x": "costs $result[1]"}, False),
        ({"x": ["a", {"y": "$TOTAL[b]"}]}, False),
        ({"x": {"$next[a]": "1"}}, False),
        ({"x": "$5 and $result"}, True),
        ({"x": {"a]b": "1"}}, False),
        ({"a.b": "1"}, False),
        ({"x": ["1"] * 901}, False),
        ({"x": ""}, True),
    ],
)
def test_s4_what_a_batch_can_say(params, can):
    assert php_query.can_batch(params) is can


@given(st.dictionaries(names, trees, max_size=5))
def test_what_can_be_batched_survives_it(tree):
    if php_query.can_batch(tree):
        assert parse(php_query.build(tree).encode()) == tree
