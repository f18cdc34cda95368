"""What a model writes as HTML: nothing of it runs, and it is rendered while it grows."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from ollama_nb.widgets.markdown import StreamedHtml, closed, to_html
from ollama_nb.widgets.transcript import Exchange

HOSTILE = [
    "<script>go()</script>",
    '<img src=x onerror="go()">',
    "<svg/onload=go()>",
    '<iframe srcdoc="<script>go()</script>"></iframe>',
    "[click](javascript:go())",
    "[click](JaVaScRiPt:go())",
    "[click](  &#106;avascript:go())",
    "[click](\x01javascript:go())",
    "[click](data:text/html,<script>go()</script>)",
    "[click](vbscript:go())",
    "[click](/base/api/shutdown)",
    "<javascript:go()>",
    "[click][1]\n\n[1]: javascript:go()",
    '[click](https://x.y "\\" onmouseover=go() x=\\"")',
    "![picture](https://x.y/?stolen=1)",
    "![picture](javascript:go())",
    '```"><script>go()</script>\ncode\n```',
    "`<script>go()</script>`",
    "$<script>go()</script>$ and \\(<b>\\)",
    "# <b onclick=go()>title</b>\n\n| <i>a</i> |\n|---|\n| <u>b</u> |",
    "<a href=\"javascript:go()\">x</a> <https://x.y/'onclick='go()>",
    "<!-- <script>go()</script> --> <![CDATA[<script>]]> <?php go() ?>",
    "<style>* { display: none }</style> </div></div><form action=/x><input name=q>",
]
TAGS = {
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "em",
    "strong",
    "s",
    "code",
    "pre",
    "a",
    "ul",
    "ol",
    "li",
    "blockquote",
    "hr",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
}
ATTRIBUTES = {"href", "target", "rel", "class", "style", "start"}


class Reader(HTMLParser):
    """Refuses what could run, lead elsewhere or be fetched."""

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS
        assert {name for name, _ in attributes} <= ATTRIBUTES
        address = dict(attributes).get("href", "#")
        assert address.startswith(("https://", "#"))

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_model_writes_runs(text):
    streamed = StreamedHtml()
    pages = [to_html(text), *(streamed.of(text[:end]) for end in range(len(text) + 1))]
    pages.append(Exchange("q", "m", text, thinking=text, notes=(text,), error=text).html())

    for page in pages:
        reader = Reader()
        reader.feed(page)
        reader.close()


def test_a_picture_from_elsewhere_is_a_link():
    assert to_html("![a](https://x.y/z)") == (
        '<p>!<a href="https://x.y/z" target="_blank" rel="noopener noreferrer">a</a></p>\n'
    )


@pytest.mark.parametrize(
    "formula", ["$a_1 + b_2$", "$$\\frac{a}{b} *c* _d_$$", "\\(x_1 * y_1\\)", "\\[x \\\\ y\\]"]
)
def test_a_formula_stays_what_it_is(formula):
    assert to_html(f"so {formula} holds") == f"<p>so {formula} holds</p>\n"


def test_prices_are_no_formula():
    assert to_html("from $5 *or* $6 on") == "<p>from $5 <em>or</em> $6 on</p>\n"


LONG = "\n\n".join(
    [
        "# Title",
        "A *paragraph*\nof two lines.",
        "- one\n- two\n\n  with more\n- three",
        "```python\nprint(1)\n\nprint(2)\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "> quoted\n\n1. first\n2. second",
        "The end\n===",
    ]
)


@pytest.mark.parametrize("text", [LONG, LONG.replace("\n", "\r\n")])
def test_a_text_that_grows_becomes_what_it_is_as_a_whole(text):
    streamed = StreamedHtml()

    for end in range(len(text)):
        streamed.of(text[:end])

    assert streamed.of(text) == to_html(text)


def test_another_text_is_rendered_afresh():
    streamed = StreamedHtml()
    streamed.of("*waiting*\n\nfor *it*")

    assert streamed.of("It is *here*") == to_html("It is *here*")


def test_an_update_costs_the_last_block_not_the_answer(monkeypatch):
    read = []
    parse = MarkdownIt.parse
    monkeypatch.setattr(
        MarkdownIt,
        "parse",
        lambda self, text, *more: read.append(len(text)) or parse(self, text, *more),
    )
    streamed, block = StreamedHtml(), "word " * 20 + "\n\n"

    for number in range(1, 60):
        streamed.of(block * number)

    assert max(read) <= 3 * len(block)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("```\nopen", "```\nopen\n```"),
        ("```", "```\n```"),
        ("~~~~py\nopen\n~~~\n", "~~~~py\nopen\n~~~\n~~~~"),
        ("```\nwhole\n```", "```\nwhole\n```"),
        ("```\nwhole\n```\n\nmore", "```\nwhole\n```\n\nmore"),
        ("", ""),
    ],
)
def test_code_that_was_left_open_is_closed(text, expected):
    assert closed(text) == expected
