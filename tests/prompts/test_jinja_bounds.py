"""Chat templates from anywhere can neither hang a server nor fill its memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.errors import TemplateFailed

MOST_SECONDS = 8.0  # on a busy machine, where a template may take half a second
# In a process of its own: what it takes is given back to the tests.
MEASURE = """
import json, resource, sys
from pathlib import Path
from ollama_nb_server.prompts import jinja
from ollama_nb_server.prompts.errors import TemplateFailed

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for source in json.loads(Path(sys.argv[1]).read_text()):
    try:
        jinja.render(source, {}, max_seconds=0.5)
    except TemplateFailed:
        continue
    sys.exit(f"rendered: {source[:200]}")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""

DOUBLE = (
    "{% set ns = namespace(s=START) %}{% for i in range(60) %}{% set ns.s = STEP %}{% endfor %}"
)


def doubled(start: str, step: str, end: str = "") -> str:
    return DOUBLE.replace("START", start).replace("STEP", step) + end


LOOPS = {
    "range in range": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "filtered loop": "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "recursive macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "macro tree": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "recursive loop tree": "{% set t = [1, 2] %}{% for x in t recursive %}{% if loop.depth < 60 %}{{ loop(t) }}{% endif %}{% endfor %}",
    "call block": "{% macro f(n) %}{{ caller(n) }}{% endmacro %}{% macro g(n) %}{% call(m) f(n) %}{{ g(m) }}{{ g(m) }}{% endcall %}{% endmacro %}{{ g(1) }}",
    "block in itself": "{% block b %}{{ self.b() }}{% endblock %}",
    "tests on a list": "{% set r = range(99999) | list %}{{ r | select('in', r | reverse | list) | list | length }}",
    "filters in filters": "{% set r = range(99999) %}{% for i in r %}{{ r | map('string') | list | length }}{% endfor %}",
    "long search": "{% set a = 'ab' * 900000 %}{% for i in range(99999) %}{% if 'b' * 9000 in a %}{% endif %}{% endfor %}",
    "many comparisons": "{% set a = 'a' * 4000000 %}{% set b = 'a' * 4000000 %}{% for i in range(99999) %}{% if a == b %}{% endif %}{% endfor %}",
    "sum of lists": "{% set l = [0] * 400 %}{{ ([l] * 99999) | sum(start=[]) | length }}",
    "sorting": "{% set l = (range(99999) | list) * 4 %}{% for i in range(99999) %}{{ l | sort | first }}{% endfor %}",
    "powers": "{{ 9 ** (9 ** 9) }}",
    "squares": doubled("3", "ns.s * ns.s"),
    "long number": "{% set n = ('1' * 4000000) | int(base=2) %}{{ n // 3 }}",
    "divisor": "{% set n = ('1' * 4000000) | int(base=2) %}{{ n is divisibleby(n - 1) }}",
    "rounding": "{{ 1.5 | round(1000000000, 'floor') }}",
    "slow filter": "{% set x = '<!-- --' ~ '>' %}{{ (x * 400000) | striptags }}",
    "slow links": "{{ ('http://a.b/(' * 400000) | urlize }}",
    "alike texts sought": "{% set a = 'a' * 4000000 %}{% set b = ['a' * 3999999 ~ 'b'] * 99999 %}{{ a in b }}",
    "alike texts sought backwards": "{% set a = 'a' * 4000000 %}{% set b = ['a' * 3999999 ~ 'b'] * 99999 %}{{ a in b | reverse }}",
    "alike texts sought by test": "{% set a = 'a' * 4000000 %}{% set b = ['a' * 3999999 ~ 'b'] * 99999 %}{{ a is in(b | reverse) }}",
    "alike texts sought by method": "{% set a = 'a' * 4000000 %}{% set b = ['a' * 3999999 ~ 'b'] * 99999 %}{{ b.count(a) }}",
    "alike texts selected": "{% set a = 'a' * 4000000 %}{% set b = ['a' * 3999999 ~ 'b'] * 99999 %}{{ b | select('eq', a) | list }}",
    "domain names": "{{ ('é' * 900000).encode('Punycode') | length }}",
    "slow method of marked text": "{{ (('<!-- --' ~ '>') * 400000) | safe | attr('striptags') | string }}{% set x = (('<!-- --' ~ '>') * 400000) | safe %}{{ x.striptags() }}",
    "wrapping": "{{ ('a' * 4000000) | wordwrap(1) }}",
}
TEXTS = {
    "times": "{{ 'a' * 10000000000 }}",
    "times a list": "{{ [0] * 10000000000 }}",
    "times, turned": "{{ 10000000000 * 'a' }}",
    "doubling": doubled("'a'", "ns.s ~ ns.s"),
    "doubling by +": doubled("'a'", "ns.s + ns.s"),
    "doubling a list": doubled("[1]", "ns.s + ns.s"),
    "doubling by join": doubled("'aa'", "[ns.s, ns.s] | join(ns.s)"),
    "doubling by method": doubled("'aa'", "ns.s.join([ns.s, ns.s])"),
    "doubling by letters": doubled("'aa'", "ns.s.join(ns.s)"),
    "doubling by replace": doubled("'aa'", "ns.s.replace('a', ns.s)"),
    "doubling by filter": doubled("'aa'", "ns.s | replace('a', ns.s)"),
    "doubling by format": doubled("'aa'", "'{0}{0}'.format(ns.s)"),
    "doubling by map": doubled("'aa'", "'{a}{a}'.format_map({'a': ns.s})"),
    "doubling by percent": doubled("'aa'", "'%s%s' % (ns.s, ns.s)"),
    "doubling by %": doubled("'aa'", "'%s%s' | format(ns.s, ns.s)"),
    "doubling by translate": doubled("'aa'", "ns.s.translate({97: ns.s})"),
    "doubling by a block": "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}{% endfor %}",
    "doubling by JSON": doubled("'é'", "ns.s | tojson(ensure_ascii=true) | tojson"),
    "doubling by indent": doubled("'a\\n'", "(ns.s ~ ns.s) | indent(ns.s, true)"),
    "doubling by wrapping": doubled("'aa aa'", "ns.s | wordwrap(1, true, ns.s)"),
    "lists of lists": doubled("[1]", "[ns.s, ns.s]", "{{ ns.s }}"),
    "lists of lists as JSON": doubled("[1]", "[ns.s, ns.s]", "{{ ns.s | tojson }}"),
    "lists of lists as text": doubled("[1]", "[ns.s, ns.s]", "{{ ns.s | string | length }}"),
    "lists of lists joined": doubled("[1]", "[ns.s, ns.s]", "{{ ns.s | join | length }}"),
    "lists of lists in ~": doubled("[1]", "[ns.s, ns.s]", "{{ (ns.s ~ '') | length }}"),
    "lists of lists formatted": doubled("[1]", "[ns.s, ns.s]", "{{ '%s' % (ns.s,) }}"),
    "lists of lists by name": doubled("[1]", "[ns.s, ns.s]", "{{ '%(a)s' % {'a': ns.s} }}"),
    "lists of lists in braces": doubled("[1]", "[ns.s, ns.s]", "{{ '{}'.format(ns.s) }}"),
    "lists of lists compared": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    "lists of lists found": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a in [ns.b] }}",
    "lists of lists indexed": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ [ns.a].index(ns.b) }}",
    "lists of lists sorted": "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ [ns.a, ns.b] | map('list') | sort | length }}",
    "tuples of tuples as a key": doubled("(1,)", "(ns.s, ns.s)", "{{ {ns.s: 1} | length }}"),
    "tuples of tuples looked up": doubled("(1,)", "(ns.s, ns.s)", "{{ {'a': 1}[ns.s] }}{{ {'a': 1}.get(ns.s) }}"),
    "tuples of tuples made unique": doubled("(1,)", "(ns.s, ns.s)", "{{ [ns.s] | unique | list | length }}"),
    "deep": "{% set ns = namespace(s=(1,)) %}{% for i in range(99999) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ {ns.s: 1} | length }}",
    "itself": "{% set ns = namespace() %}{% set ns.s = ns %}{{ ns }}",
    "printing": "{% set a = 'a' * 4000000 %}{% for i in range(99999) %}{{ a }}{% endfor %}",
    "printing much template": "{% for i in range(99999) %}" + "a" * 9999 + "{% endfor %}",
    "printing into a block": "{% set x %}{% for i in range(99999) %}" + "a" * 9999 + "{% endfor %}{% endset %}",
    "slices": "{% set a = 'a' * 4000000 %}{% set l = [" + "a[1:], " * 2999 + "] %}",
    "many literals": "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l, " + "[], " * 4999 + "] %}{% endfor %}",
    "kept texts": "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l, 'a' * (4000000 - i)] %}{% endfor %}",
    "kept lists": "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l, range(99999) | list] %}{% endfor %}",
    "joining a list backwards": "{% set l = ['a' * 4000000] * 99999 %}{{ l | reverse | join | length }}",
    "joining a list backwards by method": "{% set l = ['a' * 4000000] * 99999 %}{{ ''.join(l | reverse) | length }}",
    "tuples of tuples from an iterator": doubled("(1,)", "(ns.s, ns.s)", "{{ dict.fromkeys([ns.s] | reverse) | length }}"),
    "tuples of tuples in a set": doubled("(1,)", "(ns.s, ns.s)", "{{ {'a': 1}.keys() - [ns.s] }}"),
    "long numbers": "{% set n = 9 ** 4000 %}{% for i in range(99999) %}{{ n }}{% endfor %}",
    "long numbers formatted": "{% set n = 9 ** 4000 %}{{ ('%(n)s' * 99999) % {'n': n} }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "rjust": "{{ 'a'.rjust(1000000000) }}",
    "zfill": "{{ 'a'.zfill(1000000000) }}",
    "center by map": "{{ ['a'] | map('center', 1000000000) | list | length }}",
    "expandtabs": "{{ ('\\t' * 1000).expandtabs(1000000000) }}",
    "bytes": "{{ (1).to_bytes(1000000000, 'big') | length }}",
    "bytes of text": "{{ ('a'.encode() * 10000000000) | length }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "percent star": "{{ '%*d' % (1000000000, 1) }}",
    "percent precision": "{{ '%.1000000000f' % 1 }}",
    "percent name": "{{ '%(a)1000000000d' % {'a': 1} }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "format filter star": "{{ '%*d' | format(1000000000, 1) }}",
    "format": "{{ '{:1000000000}'.format(1) }}",
    "format inside": "{{ '{:{}}'.format(1, 1000000000) }}",
    "format inside by text": "{{ '{:{}}'.format(1, '1000000000d') }}",
    "format inside by name": "{{ '{:{w[0]}}'.format(1, w=[1000000000]) }}",
    "format map": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "format by attr": "{{ ('{:1000000000}' | attr('format'))(1) }}",
    "indent": "{{ 'a\\nb' | indent(1000000000) }}",
    "indent JSON": "{{ [1] | tojson(indent=1000000000) }}",
    "separate JSON": "{{ (range(99999) | list) | tojson(separators=('a' * 4000000, 'b')) }}",
    "batch": "{{ [1] | batch(1000000000, 'a') | list | length }}",
    "slice": "{{ [1] | slice(1000000000) | list | length }}",
    "lipsum": "{{ lipsum(1000000000) }}",
    "long lipsum": "{{ lipsum(1, false, 1000000000, 2000000000) }}",
    "range": "{% for i in range(1000000000) %}{% endfor %}",
    "strftime": "{{ strftime_now('%c' * 1000000) }}",
    "strftime padded": "{{ strftime_now('%1000000000d') }}",
    "cycler": "{% set c = cycler('a' * 4000000) %}{% for i in range(99999) %}{{ c.next() }}{% endfor %}",
    "joiner": "{% set j = joiner('a' * 4000000) %}{% for i in range(99999) %}{{ j() }}{% endfor %}",
    "dict": "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l, dict.fromkeys(range(99999))] %}{% endfor %}",
    "splitting": "{% set ns = namespace(l=[]) %}{% set a = 'ab ' * 1000000 %}{% for i in range(9999) %}{% set ns.l = [ns.l, a.split()] %}{% endfor %}",
}  # fmt: skip
BROKEN = {
    "much source": "a" * (jinja.MAX_TEMPLATE_CHARS + 1),
    "brackets": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "sums": "{{ " + "1 + " * 20000 + "1 }}",
    "nested loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "deep blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "break outside": "{% break %}",
    "break from a scope": "{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "constant": "{{ 'a' | center(1000000000) }}",
    "include": "{% include 'x' %}",
    "import": "{% import 'x' as x %}",
    "extends": "{% extends 'x' %}",
    "unknown filter": "{{ 1 | nothing }}",
    "unknown test": "{{ 1 is nothing }}",
    "import os": "{{ cycler.__init__.__globals__.os }}",
    "environment": "{{ self._TemplateReference__context.environment }}",
    "format to class": "{{ '{0.__class__.__mro__}'.format(1) }}",
    "hidden name": "{% set ns = namespace(_x=1) %}",
    "hidden name later": "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "wrong arguments": "{{ 'a'.center() }}{{ 'a'.replace() }}",
    "sent": "{{ ([1] | map('string')).send(1) }}",
}


ATTACKS = LOOPS | TEXTS | BROKEN


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_template_is_stopped_in_time(name: str) -> None:
    began = time.monotonic()

    with pytest.raises(TemplateFailed):
        jinja.render(ATTACKS[name], {}, max_seconds=0.5)

    assert time.monotonic() - began < MOST_SECONDS


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_hostile_templates_take_little_memory(tmp_path: Path) -> None:
    (tmp_path / "templates.json").write_text(json.dumps(list(ATTACKS.values())))
    program = [sys.executable, "-c", MEASURE, str(tmp_path / "templates.json")]

    grown_bytes = int(subprocess.run(program, check=True, capture_output=True, timeout=150).stdout)

    assert grown_bytes < 512 << 20


def test_a_thread_with_a_hostile_template_leaves_the_others_running() -> None:
    attack = threading.Thread(target=stopped, args=(LOOPS["filtered loop"],))
    attack.start()

    texts = [jinja.render("{{ messages[0] }}", {"messages": ["hi"]}) for _ in range(20)]
    attack.join(MOST_SECONDS)

    assert texts == ["hi"] * 20
    assert not attack.is_alive()


@pytest.mark.slow
def test_long_chains_of_generators_end_well() -> None:
    chain = doubled("[1]", "ns.s | map('string')").replace("range(60)", "range(99999)")

    assert jinja.render(chain, {}) == ""
    with pytest.raises(TemplateFailed):
        jinja.render(chain + "{{ ns.s | list }}", {})


def test_long_conversations_are_in_budget() -> None:
    messages = [{"role": "user", "content": "word " * 200}] * 600
    growing = "{% set ns = namespace(s='') %}{% for m in messages %}{% set ns.s = ns.s ~ m.content %}{% endfor %}{{ ns.s }}"
    by_letter = "{% for m in messages %}{% for c in m.content %}{{ c }}{% endfor %}{% endfor %}"

    assert len(jinja.render(growing, {"messages": messages})) == 600_000
    assert len(jinja.render(by_letter, {"messages": messages})) == 600_000


def stopped(source: str) -> None:
    with pytest.raises(TemplateFailed):
        jinja.render(source, {}, max_seconds=0.5)


VALUES = st.sampled_from(
    ["messages", "messages[0]", "m", "m.content", "ns", "ns.s", "x", "nothing", "tools", "loop", "caller", "self",
     "0", "1", "-7", "99", "1.5", "true", "none", "''", "'ab c'", "'%s{}'", "'é😀'", "[]", "[1, 'a']", "{}", "{'a': 1}", "(1, 2)",
     "range(9)", "range(99999)", "cycler(1, 2)", "joiner()", "lipsum", "dict(a=1)", "namespace(a=1)", "f", "strftime_now('%Y')"]
)  # fmt: skip
OPERATORS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "not in",
        "and",
        "or",
        "if",
    ]
)
FILTERS = st.sampled_from(sorted(jinja.compiled("").environment.filters))
TESTS = st.sampled_from(
    sorted(name for name in jinja.compiled("").environment.tests if name.isalpha())
)
METHODS = st.sampled_from(
    ["get", "items", "keys", "split", "strip", "join", "format", "format_map", "replace", "center", "zfill", "translate",
     "encode", "index", "count", "pop", "append", "copy", "next", "send", "to_bytes", "upper", "startswith", "__class__"]
)  # fmt: skip


def larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, part, OPERATORS, part),
        st.builds("({} | {})".format, part, FILTERS),
        st.builds("({} | {}({}))".format, part, FILTERS, part),
        st.builds("({} | {}({}, {}))".format, part, FILTERS, part, part),
        st.builds("({} is {})".format, part, TESTS),
        st.builds("({} is {}({}))".format, part, TESTS, part),
        st.builds("{}.{}({})".format, part, METHODS, part),
        st.builds("{}.{}({}, {})".format, part, METHODS, part, part),
        st.builds("{}[{}]".format, part, part),
        st.builds("{}[{}:]".format, part, part),
        st.builds("[{}, {}]".format, part, part),
        st.builds("{{{}: {}}}".format, part, part),
        st.builds("{}({})".format, part, part),
        st.builds("({} if {} else {})".format, part, part, part),
    )


EXPRESSIONS = st.recursive(VALUES, larger, max_leaves=6)


def blocks(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, part, part),
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, part),
        st.builds(
            "{{% for x in {} if {} recursive %}}{}{{{{ loop({}) }}}}{{% else %}}{}{{% endfor %}}".format,
            EXPRESSIONS,
            EXPRESSIONS,
            part,
            EXPRESSIONS,
            part,
        ),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, EXPRESSIONS, part, part),
        st.builds(
            "{{% macro f(m, x=1) %}}{}{{% endmacro %}}{{{{ f({}) }}}}".format, part, EXPRESSIONS
        ),
        st.builds("{{% call f({}) %}}{}{{% endcall %}}".format, EXPRESSIONS, part),
        st.builds("{{% set x %}}{}{{% endset %}}".format, part),
        st.builds("{{% filter {} %}}{}{{% endfilter %}}".format, FILTERS, part),
        st.builds("{{% generation %}}{}{{% endgeneration %}}".format, part),
        st.builds("{{% with m = {} %}}{}{{% endwith %}}".format, EXPRESSIONS, part),
        st.builds("{{% autoescape true %}}{}{{% endautoescape %}}".format, part),
    )


STATEMENTS = st.one_of(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
    st.builds("{{% set ns.s = {} %}}".format, EXPRESSIONS),
    st.builds("{{% set x = {} %}}".format, EXPRESSIONS),
    st.sampled_from(
        [
            "{% break %}",
            "{% continue %}",
            " text\n",
            "{{ raise_exception('no') }}",
            "{{ x }}",
            "{{ ns.s }}",
        ]
    ),
)
TEMPLATES = st.recursive(STATEMENTS, blocks, max_leaves=8)
FUZZED = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
VARIABLES = {
    "messages": [
        {"role": "user", "content": "héllo %s {} <b>"},
        {"role": "assistant", "content": None},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"a": [1, {"b": None}]}}}
    ],
    "ns": {"s": 1},
}


def text_or_refusal(source: str) -> str:
    began = time.monotonic()
    try:
        return jinja.render(source, VARIABLES, max_seconds=0.5)
    except TemplateFailed as error:
        return str(error)
    finally:
        assert time.monotonic() - began < MOST_SECONDS


@pytest.mark.slow
@FUZZED
@given(TEMPLATES)
def test_any_template_ends_in_a_text_or_in_a_refusal(template: str) -> None:
    assert isinstance(
        text_or_refusal("{% set ns = namespace(s='a') %}{% set x = 'b' %}" + template), str
    )


@FUZZED
@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                "{%",
                "%}",
                "{#",
                "#}",
                "-",
                "+",
                " for ",
                " in ",
                " if ",
                " endfor ",
                " endif ",
                "x",
                "'",
                '"',
                "(",
                ")",
                "[",
                "]",
                "|",
                ".",
                ":",
                "~",
                "*",
                "1",
                "\\",
                "\n",
                " set ",
                "=",
                " macro ",
                " raw ",
                " endraw ",
            ]
        ),
        max_size=40,
    )
)
def test_any_soup_of_signs_ends_in_a_text_or_in_a_refusal(signs: list[str]) -> None:
    assert isinstance(text_or_refusal("".join(signs)), str)
