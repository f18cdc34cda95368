"""What a model writes as HTML: nothing of it runs, and it is rendered while it grows."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from ollama_nb.answers.generation import Generation
from ollama_nb.answers.highlighting import STYLE
from ollama_nb.answers.markdown import StreamedHtml, closed, to_html
from ollama_nb.answers.schemas.schema import Schema
from ollama_nb.answers.tool_call import ToolCall
from ollama_nb.display.screens import LiveCell, final, no_answer
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
    '```html\n<script>go()</script><img onerror="go()">\n```',
    '```python"onclick=go()\n"<script>go()</script>"\n```',
    "```php\n<?php go() ?> </code></pre><script>go()</script>\n```",
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
    "span",
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


def _pages(text):
    """Return the text in all places where an answer has it, as HTML."""
    streamed, shown = StreamedHtml(), []
    yield to_html(text)
    yield from (streamed.of(text[:end]) for end in range(len(text) + 1))
    yield Exchange("q", "m", text, thinking=text, notes=(text,), error=text).html()
    call = ToolCall(text, {text: text})
    for calls in ([], [call], [call.returned(None, text)]):
        for schema in (None, Schema("json")):
            answer = Generation(text, thinking=text, tool_calls=calls, schema=schema, model=text)
            shown += [answer.bundle(), final(answer, text)]
    live = LiveCell(text, lambda bundle, _: shown.append(bundle) or 1, iter(range(100)).__next__)
    for said in ("", text):
        live.update(said, text, text)
    live.finish(answer)
    yield from (bundle["text/html"] for bundle in [*shown, no_answer(text)])


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_model_writes_runs(text):
    for page in _pages(text):
        reader = Reader()
        reader.feed(page.replace(STYLE, ""))
        reader.close()


def test_code_has_the_colours_of_the_editor():
    page = to_html("```python\nreturn '<b>'  # so\n```\n\n```python\nx\n```\n")

    assert page == (
        f'{STYLE}<pre class="ollama-nb-code"><code class="language-python">'
        '<span class="keyword">return</span> <span class="string">\'&lt;b&gt;\'</span>  '
        '<span class="comment"># so</span>\n</code></pre>\n'
        '<pre><code class="language-python">x\n</code></pre>\n'
    )
    assert "var(--jp-mirror-editor-keyword-color," in STYLE


@pytest.mark.parametrize("code", ["```\nreturn 1\n```", "```nosuch\nreturn 1\n```"])
def test_code_of_no_known_language_has_none(code):
    assert "<span" not in to_html(code)


def test_code_has_none_while_it_grows():
    code = "```python\nreturn 1\n```\n"
    streamed = StreamedHtml()

    assert "<span" not in streamed.of(code)
    assert streamed.of(f"{code}\nIt is 1.") == to_html(f"{code}\nIt is 1.")


def test_code_that_is_too_long_to_be_read_has_none():
    assert "<span" in to_html(f"```python\n{'x = 1; ' * 2_000}\n```")
    assert "<span" not in to_html(f"```python\n{'x = 1; ' * 3_000}\n```")


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
