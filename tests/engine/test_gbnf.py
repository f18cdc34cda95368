"""Grammars in llama.cpp's notation: what they allow, and how they are refused."""

import queue

import pytest
from ollama_nb_server.engine.errors import EngineError, GrammarDeadEnd, GrammarRefused
from ollama_nb_server.engine.grammars.grammar import Compiled, Grammars
from ollama_nb_server.engine.messages import Grammar

LIST = r"""
# one item a line
root ::= item+
item ::= "- " [^\r\n\x0b\x85\u2028]+ "\n"
"""
SUM = """
root   ::= sum "=" blank number
sum    ::= factor ([-+*/] blank factor)*
factor ::= number | name | "(" blank sum ")" blank
name   ::= [a-z] [a-z0-9_]* blank
number ::= [0-9]+ blank
blank  ::= " "{0,2}
"""
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (
             string ":" ws value   # a comment
             ("," ws string ":" ws value)*
           )? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""
MOVES = """
root   ::= "1. " move " " move "\\n" ([1-9] [0-9]? ". " move " " move "\\n")*
move   ::= (piece | pawn | "O-O" "-O"?) [+#]?
piece  ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBQR])?
"""
NESTED = "root ::= " + '("a" ' * 40 + '"b"' + ")?" * 40


def fits(compiler, model, grammar: str, answer: str) -> bool:
    matcher = Compiled(compiler.compile(Grammar("gbnf", grammar))).answer()
    try:
        for token in model.tokenize(answer, add_special=False):
            matcher.take(token)
    except GrammarDeadEnd:
        return False
    return matcher.complete or any(model.is_end(token) for token in matcher.allowed())


@pytest.mark.parametrize(
    ("grammar", "answer"),
    [
        (LIST, "- one\n- 日本 😀\n"),
        (SUM, "2 + (ab - 3)*x_1= 7"),
        (JSON, '{"a": [1, -2.5, {"b": "\\u00e9\\n ü"}], "c": null}'),
        (MOVES, "1. e4 e5\n2. Nf3 exd5+\n10. O-O-O h8=Q#\n"),
        (NESTED, "a" * 40 + "b"),
        ('root ::= "yes" | "no" [0-9]{2} "."', "no42."),
        (r'root ::= "\x41\u00e9\U0001F600\"\\\n"', 'Aé😀"\\\n'),
        ('root ::= "a\nb"', "a\nb"),
        ('root ::= "\x07"', "\x07"),
        ("root ::= .+", "any\nthing, ü 日 😀"),
        ("root ::= [--/]+", "-./"),
        (r"root ::= [a&&b~~^\[\]/-]+", "a&b~^[]/-"),
        (r"root ::= [^a-z\n]+", "A-Z [日]"),
        ('root ::= [a-z]+ "x"', "axxbx"),
        ('root ::= word "x"\nword ::= [a-z]+', "axxbx"),
        ('root ::= word "x" root | "y"\nword ::= [a-z]+', "abxcxy"),
        ('root ::= [a-z] "bc" root | "abd" | "y"', "abcy"),
        ('root ::= root "a" | "b"', "baaa"),
        ('root ::= "(" root ")" | ""', "((()))"),
        ('root ::= "ab"{2,3} | "c"{2} | "d"{2,}', "ababab"),
        ('root ::= ("x"? )? ("y"+)*', "xyyy"),
        ('root ::= "a" | ', ""),
        ('fooBar ::= "a"\nfoo-bar ::= "b"\nstart ::= "c"\nroot ::= fooBar foo-bar start', "abc"),
        ('root ::= "a"\nroot ::= "b"', "b"),
        ('root ::= (\r\n  "a" |\r\n  "b" # or\r\n)+ |\r\n  "c"\r\n# end', "abba"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_grammar_allows_what_it_describes(compiler, demo_model, grammar, answer):
    assert fits(compiler, demo_model, grammar, answer)


@pytest.mark.parametrize(
    ("grammar", "answer"),
    [
        (SUM, "2 + (ab - 3= 7"),
        (JSON, '{"a": 01}'),
        ('root ::= [a-z]+ "x"', "ab"),
        ('root ::= "ab"{2,3}', "ab"),
        ('root ::= "ab"{2,3}', "abababab"),
        ("root ::= [--/]+", "0"),
        ("root ::= [a&&b]+", "c"),
        (r"root ::= [^a-z\n]+", "A\n"),
        ('root ::= "a"\nroot ::= "b"', "a"),
        ('root ::= "(" root ")" | "b"', "((b)"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_grammar_allows_nothing_else(compiler, demo_model, grammar, answer):
    assert not fits(compiler, demo_model, grammar, answer)


@pytest.mark.parametrize(
    ("grammar", "place", "reason"),
    [
        (" \n", "", "empty"),
        ('root ::= "' + "a" * 70_000 + '"', "", "larger than"),
        ("answer ::= [a-z]", "", "no rule 'root'"),
        ("\nroot ::= unknown", "line 2", "no rule 'unknown'"),
        ('root ::= ("a"', "line 1", "expected ')'"),
        ('root ::= "a" )', "line 1", "a rule should begin here"),
        ('root ::= "a"\n  | "b"', "line 2", "a rule should begin here"),
        ('root ::= "a"**', "line 1", "a rule should begin here"),
        ('x ::= "a"\nroot ::= x "abc', "line 2", 'what " begins has no end'),
        ("root ::= [abc", "line 1", "what [ begins has no end"),
        ("root ::= [a]{2", "line 1", "what { begins has no end"),
        ('root ::= "a\\', "line 1", "no end"),
        ('root ::= "a\\q"', "line 1", "no such escape"),
        (r"root ::= [\xZ1]", "line 1", "no such escape"),
        (r'root ::= "\UFFFFFFFF"', "line 1", "no such letter"),
        (r'root ::= "\ud800"', "line 1", "no such letter"),
        ("root ::= [z-a]", "line 1", "ends before it begins"),
        ("root ::= []", "line 1", "no letter in it"),
        ("root ::= [^]", "line 1", "no letter in it"),
        ("root ::= [a]{5,2}", "line 1", "less than 5"),
        ("root ::= [a]{100000}", "line 1", "more than 2000"),
        ("root ::= [a]{" + "9" * 5000 + "}", "line 1", "{m,n}"),
        ("root ::= [a]{,3}", "line 1", "{m,n}"),
        ("root ::= [a]{²}", "line 1", "{m,n}"),
        ("root ::= [a]{0}", "line 1", "0 times"),
        ("root ::= <think>", "line 1", "write their text"),
        ('root = "a"', "line 1", "unexpected '='"),
        ("root ::= " + "(" * 300 + '"a"' + ")" * 300, "line 1", "parentheses"),
        ("\n".join(['root ::= "a"', *(f'r{n} ::= "a"' for n in range(3000))]), "line", "rules"),
        ("root ::= root", "", "nothing fits it"),
        ('root ::= "a" x\nx ::= "b" x', "", "no end"),
        ("root ::= (([a]{2000}){2000}){2000}", "", "no end"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_grammar_that_cannot_be_used_is_refused_with_its_line(compiler, grammar, place, reason):
    with pytest.raises(GrammarRefused, match="invalid grammar: ") as refusal:
        compiler.compile(Grammar("gbnf", grammar))

    assert refusal.value.place.startswith(place)
    assert reason in refusal.value.reason


@pytest.mark.parametrize("opens", ["", "<think>"], ids=["thinks", "may think"])
def test_what_nothing_fits_is_refused_behind_a_thought_too(compiler, opens):
    with pytest.raises(GrammarRefused, match="nothing fits"):
        compiler.compile(Grammar("gbnf", "root ::= root", "</think>", opens))


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + '("a"|"b"|"c"|"d")? ' * 500,
        'root ::= a25\na0 ::= "y"\n'
        + "\n".join(f'a{n} ::= a{n - 1} | a{n - 1} "x"' for n in range(1, 26)),
        'root ::= root root | "a" | "b"',
        'root ::= ((("a"*)*)*)*',
        'root ::= .* "a" .{40}',
        "root ::= (([a]{0,2000}){0,2000}){0,2000}",
        "root ::= r0\n"
        + "\n".join(f"r{n} ::= [ab] r{n + 1} [ab]" for n in range(1900))
        + "\nr1900 ::=",
        "root ::= a0\n" + "\n".join(f"a{n} ::= a{n + 1}" for n in range(500)) + '\na500 ::= "b"',
    ],
    ids=["options", "doubling", "ambiguous", "stars", "memory", "counts", "chain", "short chain"],
)
def test_what_took_llama_cpp_for_ever_is_compiled(demo_model, grammar):
    outcome = compiled(demo_model, Grammar("gbnf", grammar))

    assert isinstance(outcome, Compiled)
    assert len(outcome.answer().allowed())


def compiled(model, grammar: Grammar) -> Compiled | EngineError:
    """What the threads of grammars say."""
    grammars, told = Grammars(model), queue.SimpleQueue()
    grammars.begin()
    grammars.compile(grammar, told.put)
    return told.get(timeout=60)
