import json
import re

from passingloop.report.html.markup import Markup, data_block, element


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    made = element(
        "p", "a < b", element("b", "&"), None, 3, [Markup("<i>x</i>")], class_="x", title='"<>"', hidden=None
    )
    assert made == '<p class="x" title="&quot;&lt;&gt;&quot;">a &lt; b<b>&amp;</b>3<i>x</i></p>'


def test_elements_without_content() -> None:
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert element("rect", width="4%", aria_hidden="true") == '<rect width="4%" aria-hidden="true"/>'


def test_data_cannot_end_their_script() -> None:
    value = {"name": "</script><!--<script>", "line": "\u2028&'\""}
    block = data_block("d", value)
    inside = re.fullmatch(r'<script type="application/json" id="d">(.*)</script>', block)
    assert inside
    assert not re.search("[<>&\u2028]", inside[1])
    assert json.loads(inside[1]) == value
