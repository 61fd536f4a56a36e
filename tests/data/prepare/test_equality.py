"""When two texts are taken for equal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.prepare.equality import normalise


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_the_short_way_to_normalise_is_the_long_one(text: str) -> None:
    import unicodedata

    assert normalise(text) == " ".join(unicodedata.normalize("NFKC", text).casefold().split())
