"""Checkouts over HTTP through connections that break: pinned by ETag, by digest, and by nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from refstore.errors import CheckoutIncomplete
from tests.checkout.workshop import Workshop, tree
from tests.servers.faults import FaultProxy
from tests.servers.nginx import Nginx

BIG = os.urandom(3 << 20)


@pytest.mark.parametrize("fault", ["cut", "truncate"])
@pytest.mark.parametrize("odd", ["", "bare", "noranges"])
def test_a_broken_answer_is_taken_up_and_the_whole_is_right(
    workshop: Workshop, nginx: Nginx, faults: Callable[..., FaultProxy], odd: str, fault: str
) -> None:
    folder = nginx.folder({"big": BIG})
    proxy = faults(nginx.url, **{fault: 1}, after=1 << 20, first=2)
    url = nginx.odd(odd, folder, "big") if odd else nginx.href(folder, "big")
    workshop.checkout(workshop.entries(url, at=proxy.url))
    assert tree(workshop.out) == {"big": BIG}
    assert proxy.seen[fault] == 2


def test_what_nothing_pins_starts_again_from_its_beginning(
    workshop: Workshop, nginx: Nginx, faults: Callable[..., FaultProxy]
) -> None:
    folder = nginx.folder({"big": BIG})
    proxy = faults(nginx.url, cut=1, after=1 << 20, first=1)
    entries = workshop.entries(nginx.odd("bare", folder, "big"), at=proxy.url, checksum=False)
    mark = nginx.log.mark()
    result = workshop.checkout(entries)
    assert tree(workshop.out) == {"big": BIG}
    assert result.unverified == 1
    assert all(request.range in ("", "bytes=0-") for request in nginx.log.since(mark, f"/-/bare/{folder.name}"))


def test_a_page_that_was_replaced_is_refused(workshop: Workshop, nginx: Nginx) -> None:
    folder = nginx.folder({"a": b"first", "b": b"first"})
    entries = workshop.entries(nginx.href(folder, "a")) + workshop.entries(nginx.odd("bare", folder, "b"))
    folder.write({"a": b"another", "b": b"other"})
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    assert [(failure.path, failure.kind) for failure in error.value.failures] == [
        ("a", "overwritten"),
        ("b", "mismatch"),
    ]


def test_an_answer_longer_than_recorded_is_not_waited_for(workshop: Workshop, nginx: Nginx) -> None:
    folder = nginx.folder({"big": BIG})
    (entry,) = workshop.entries(nginx.odd("bare", folder, "big"), checksum=False)
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout([replace(entry, object=replace(entry.object, size=1000))])
    assert error.value.failures[0].kind in ("mismatch", "overwritten")
    assert tree(workshop.out) == {}
