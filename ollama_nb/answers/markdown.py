"""Markdown of models as HTML that nothing in it can turn into a program: `to_html`, `StreamedHtml`.

What a model writes is nobody's to trust, and the front ends trust it: HTML in the markdown of a
cell that has just run would be live in the page. Here it is text, links lead to web pages and mail
only, and a picture from elsewhere, which would be fetched without a click, is a link.
"""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ollama_nb.answers.highlighting import STYLE, highlighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

LINKS = re.compile(r"(https?:|mailto:|#)", re.IGNORECASE)  # all others would be the page's own
FORMULA = re.compile(
    r"\$\$.{1,2000}?\$\$|\$(?=\S)[^$\n]{0,500}?[^\s$]\$(?!\d)"
    r"|\\\(.{1,500}?\\\)|\\\[.{1,2000}?\\\]",
    re.DOTALL,
)


def to_html(text: str) -> str:
    r"""Render a text.

    >>> to_html("**bold** <b onclick=go()>html</b>")
    '<p><strong>bold</strong> &lt;b onclick=go()&gt;html&lt;/b&gt;</p>\n'
    """
    return _styled(_rendered(_parser().parse(text)))


def _rendered(tokens: Sequence[Token], *, is_finished: bool = True) -> str:
    from markdown_it.utils import OptionsDict

    parser = _parser()
    options = OptionsDict(dict(parser.options))  # type: ignore[arg-type]  # it is one of them
    if not is_finished:
        options["highlight"] = None
    return str(parser.renderer.render(tokens, options, {}))


def _styled(page: str) -> str:
    """Add what the colours of code need, once."""
    return STYLE + page if 'class="ollama-nb-code' in page else page


def closed(text: str) -> str:
    """Return a text that ends outside of code: one that was stopped may have left a block open."""
    tokens = _parser().parse(text)
    if not tokens or tokens[-1].type != "fence" or tokens[-1].map is None:
        return text
    fence, first = tokens[-1].markup, tokens[-1].map[0]
    lines = _with_line_feeds(text).rstrip().split("\n")
    last = lines[-1].strip()
    is_closed = len(lines) > first + 1 and len(last) >= len(fence) and set(last) == {fence[0]}
    return text if is_closed else f"{text.rstrip()}\n{fence}"


def _with_line_feeds(text: str) -> str:
    """Return a text whose lines end as the parser counts them."""
    return re.sub(r"\r\n?", "\n", text)


class StreamedHtml:
    """Renders a text that grows; blocks that are finished are rendered once.

    So the work for an update is that of the last block, however long the answer is; code gets its
    colours when it is finished.
    """

    def __init__(self) -> None:
        self._done, self._done_html = "", ""

    def of(self, text: str) -> str:
        """Render the text as it is now."""
        text = _with_line_feeds(text)
        if not text.startswith(self._done):  # another text: what was waited for, say
            self._done, self._done_html = "", ""
        rest = text[len(self._done) :]
        tokens = _parser().parse(rest)
        if begin := _begin_of_last_block(tokens):
            lines = rest.split("\n")
            finished, rest = "\n".join(lines[:begin]) + "\n", "\n".join(lines[begin:])
            self._done += finished
            self._done_html += _rendered(_parser().parse(finished))
            tokens = _parser().parse(rest)
        return _styled(self._done_html + _rendered(tokens, is_finished=False))


def _begin_of_last_block(tokens: Sequence[Token]) -> int:
    """Return the line where the last block begins; 0 where there is only one."""
    return max((one.map[0] for one in tokens if one.level == 0 and one.map), default=0)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("js-default", {"html": False, "highlight": highlighted})
    parser.disable("image")  # what is left is an exclamation mark and a link
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.validateLink = _is_link  # type: ignore[method-assign, assignment]
    parser.add_render_rule("link_open", _link)
    return parser


def _is_link(address: str) -> bool:
    return LINKS.match(address.strip()) is not None


def _formula(state: StateInline, silent: bool) -> bool:
    """Leave a formula as it stands: markdown would take its underscores and backslashes."""
    if state.src[state.pos] not in "$\\":
        return False
    found = FORMULA.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("text", "", 0).content = found.group()
    state.pos = found.end()
    return True


def _link(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Open pages beside the notebook, and tell them nothing of it."""
    address = html.escape(str(tokens[at].attrGet("href")))
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">'
