from __future__ import annotations

import pytest
from ollama_nb_server.prompts.parsing.harmony_names import harmony_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["get it", "get-it", "get.it", "get_it"], ["get_it", "get_it_2", "get_it_3", "get_it_4"]),
        (["f", "f"], ["f", "f_2"]),
        (["f", "f_2", "f"], ["f", "f_2", "f_3"]),
        (["2nd", "²", "٣x", "日_$"], ["_2nd", "unnamed", "٣x", "日_$"]),
        (["&/<", "!", ""], ["unnamed", "unnamed_2", ""]),
        (["browser.open", "browser.search", "browser.find", "python"], ["browser.open", "browser.search", "browser.find", "python"]),
        (["browser.close", "browser_close"], ["browser_close", "browser_close_2"]),
    ],
)  # fmt: skip
def test_names_are_made_fit_as_ollama_makes_them(names: list[str], expected: list[str]) -> None:
    assert harmony_names(names) == expected
