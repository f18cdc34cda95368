"""The colours of code in an answer: those of the page's own editor, light or dark.

`highlighted` is the hook of markdown's parser, `STYLE` what the page needs once.
"""

from __future__ import annotations

import html
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CHARS = 20_000  # a longer block stays plain: the patterns of some languages take long
KINDS = {  # of tokens, by Pygments' names, and the editor's names of their colours
    "Comment": "comment",
    "Keyword": "keyword",
    "Literal.Number": "number",
    "Literal.String": "string",
    "Name.Builtin": "builtin",
    "Name.Class": "def",
    "Name.Decorator": "meta",
    "Name.Function": "def",
    "Name.Tag": "tag",
}
ELSEWHERE = {  # where the page's editor has no names of ours: readable on white and on black
    "builtin": "#3f7fbf",
    "comment": "#7a8288",
    "def": "#3b73d9",
    "keyword": "#2f8f3f",
    "meta": "#a05fd0",
    "number": "#4f8f10",
    "string": "#c4504a",
    "tag": "#2f8f3f",
}
STYLE = "<style>{}</style>\n".format(
    "".join(
        f".ollama-nb-code .{kind}{{color:var(--jp-mirror-editor-{kind}-color,{color})}}"
        for kind, color in ELSEWHERE.items()
    )
)


def highlighted(code: str, language: str, _: Any) -> str:
    """Return a block of code as HTML; empty where there is nothing to colour."""
    if not language or len(code) > MAX_CHARS or not (lexer := _lexer(language)):
        return ""
    tokens = [(_kind(str(token)), text) for token, text in lexer.get_tokens(code)]
    if not any(kind for kind, _ in tokens):
        return ""
    name = html.escape(language)
    opened = f'<pre class="ollama-nb-code"><code class="language-{name}">'
    return f"{opened}{_marked(tokens)}</code></pre>"


@cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@cache
def _kind(token: str) -> str:
    """Return the colour of a token, whose name is a path; empty: that of text.

    >>> _kind("Token.Literal.String.Double")
    'string'
    """
    name = token.removeprefix("Token.")
    return next((kind for path, kind in KINDS.items() if f"{name}.".startswith(f"{path}.")), "")


def _marked(tokens: Iterable[tuple[str, str]]) -> str:
    """Return texts as HTML, neighbours of a kind together."""
    return "".join(
        _span(kind, html.escape("".join(text for _, text in group), quote=False))
        for kind, group in groupby(tokens, key=lambda token: token[0])
    )


def _span(kind: str, text: str) -> str:
    return f'<span class="{kind}">{text}</span>' if kind and text.strip() else text
