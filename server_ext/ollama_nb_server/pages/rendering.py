"""A page of what one person may see; everything in it is text until it is rendered here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ollama_nb_server.pages.forms import Form
from ollama_nb_server.pages.usage_view import BY, DAYS
from ollama_nb_server.pages.view import View


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a view.

    `here` is the page's path, `pass_` what its forms must carry, and `xsrf` what a Hub wants of
    them besides.

    `how` says how programs connect; `told` is what came of the last button, and `refused` the form
    that was not done, to be mended. `ending` says that the server stops.
    A page that `is_part` has only what changes by itself.
    """

    here: str
    pass_: str = ""
    told: str = ""
    how: str = ""
    may_leave: bool = False
    xsrf: str = ""
    refused: Form = field(default_factory=dict)
    ending: str = ""
    is_part: bool = False


def page_of(view: View | None, frame: Frame) -> tuple[str, str]:
    """The page, and its Content-Security-Policy; without a view it asks who is there."""
    nonce = secrets.token_urlsafe(16)
    page = _template().render(
        view=view,
        here=frame.here,
        told=frame.told,
        how=frame.how,
        may_leave=frame.may_leave,
        xsrf=frame.xsrf,
        refused=frame.refused,
        ending=frame.ending,
        nonce=nonce,
        choices={"days": DAYS, "by": BY},
        part=frame.is_part,
        **{"pass": frame.pass_},
    )
    return page, (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


@cache
def _template() -> Template:
    loader = PackageLoader("ollama_nb_server", "pages")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html")
