"""Listings whose rows are all alike are read without a parser, and say what the parser says."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refstore.backends.s3 import pages
from refstore.backends.s3.pages import Answer, Listed

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
TAIL = "</ListVersionsResult>"
KEY = "<Key>a</Key><Size>1</Size><ETag>&quot;e1&quot;</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
ROW = f"<Version>{KEY}<VersionId>v1</VersionId><IsLatest>true</IsLatest></Version>"
OTHER = ROW.replace("<Key>a", "<Key>b")


def listed(body: bytes) -> Listed | str | None:
    found = pages.answer(body)
    return read(found)


def parsed(body: bytes) -> Listed | str | None:
    """What the parser alone makes of it."""
    root = pages._tree(body)
    return read(Answer(root) if root is not None else None)


def read(found: Answer | None) -> Listed | str | None:
    try:
        return pages.read(found, "", "bucket", "p/") if found is not None else None
    except ValueError:
        return "a row that is none"


def by_columns(body: bytes) -> bool:
    found = pages.answer(body)
    return found is not None and bool(found.columns)


def body(*parts: str) -> bytes:
    return "".join([HEAD, *parts, TAIL]).encode("utf-8", "surrogatepass")


TEXT = st.one_of(
    st.sampled_from(["", "true", "false", "null", "STANDARD", "7", "p/a", "a%20b+c", "2026-01-01T00:00:00.000Z"]),
    st.sampled_from(["&quot;abc&quot;", '"abc"', "&#34;a-2&#34;", "abc", '""', '"a"b"', "W/&quot;x&quot;", "&quot;"]),
    st.sampled_from(["&amp;", "&amp;quot;", "]]>", "<![CDATA[x]]>", "<!-- x -->", "\x01", "é", " ", "\r\n", "&no;"]),
    st.text(max_size=4).map(escape),
)
NAMES = ("Key", "Size", "VersionId", "ETag", "LastModified", "StorageClass", "IsLatest", "Owner", "ChecksumType")


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    def element(name: str) -> str:
        if name == "Owner":
            return f"<Owner><ID>{draw(TEXT)}</ID><Key>{draw(TEXT)}</Key></Owner>"
        return f"<{name}>{draw(TEXT)}</{name}>" if draw(st.integers(0, 9)) else f"<{name}/>"

    names = draw(st.lists(st.sampled_from(NAMES), max_size=9, unique=draw(st.booleans())))
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        odd = draw(st.integers(0, 11))
        kind = "DeleteMarker" if odd == 0 else "Contents" if odd == 1 else "Version"
        fields = draw(st.permutations(names)) if odd == 2 else names
        parts.append(f"<{kind}>{''.join(map(element, fields))}</{kind}>{' ' if odd == 3 else ''}")
    before = draw(st.sampled_from(["", "<EncodingType>url</EncodingType>", "<IsTruncated>true</IsTruncated>", "<!--"]))
    after = draw(st.sampled_from(["", "<NextKeyMarker>p%2Fz</NextKeyMarker>", "-->", "</X>", "<CommonPrefixes/>"]))
    return body(before, *parts, after)


@given(bodies())
@example(body(f"<!--{ROW}-->"))
@example(body(f"<![CDATA[{ROW}]]>"))
@example(body(f"<X>{ROW}</X>"))
@example(body(f'<X at="{ROW}"/>'))
@example(body(ROW, "<!-- and -->", OTHER))
@example(body(ROW, "<DeleteMarker><Key>x</Key></DeleteMarker>", OTHER))
@example(
    body("<DeleteMarker><Key>x</Key></DeleteMarker>", ROW, OTHER, "<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes>")
)
@example(body(ROW, ROW.replace("Version>", "Contents>")))
@example(body(ROW.replace("<Key>a</Key>", ""), ROW))
@example(body(ROW.replace("<IsLatest>true</IsLatest>", "")))
@example(body(ROW.replace("<Size>1", "<Size>many")))
@example(body(ROW)[:-1])
@example(body(ROW, "\x00"))
@example(body(ROW).replace(b"<ListV", b"<s:ListV").replace(b"</ListV", b"</s:ListV").replace(b"xmlns=", b"xmlns:s="))
@example(body(ROW).replace(b"UTF-8", b"UTF-16"))
@example(b'<!DOCTYPE x [<!ENTITY r "' + ROW.encode() + b'">]>' + body(OTHER).partition(b"\n")[2])
def test_a_page_says_what_a_parser_reads(page: bytes) -> None:
    assert listed(page) == parsed(page)


@pytest.mark.parametrize("quote", ["&quot;", "&#34;", '"'])
@pytest.mark.parametrize("kind", ["Version", "Contents"])
def test_rows_that_are_alike_need_no_parser(quote: str, kind: str) -> None:
    row = ROW.replace("&quot;", quote).replace("Version>", f"{kind}>")
    owner = "<Owner><ID>1</ID><DisplayName>me</DisplayName></Owner>"
    page = body(row.replace("</Size>", f"</Size>{owner}"), row.replace("</Size>", f"</Size>{owner}"))
    assert by_columns(page)
    assert listed(page) == parsed(page)
    assert isinstance(found := listed(page), Listed)
    assert [row[7] for row in found.rows] == ["e1", "e1"]


@pytest.mark.parametrize("code", range(32, 127))
def test_each_character_of_a_key_is_read_right(code: int) -> None:
    page = body(OTHER, ROW.replace("<Key>a", f"<Key>{escape(chr(code))}"), OTHER)
    assert listed(page) == parsed(page)
    assert by_columns(page) == (chr(code) not in "<>&")
