"""Masks of bound answers, found out while the model computes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ollama_nb_server.engine.grammars.grammar import Matcher
from ollama_nb_server.engine.grammars.mask_thread import MaskThread
from ollama_nb_server.engine.messages import Grammar, SamplingParams
from serving import Answer, Serving

PROMPT = "<|im_start|>user\nA robot, please.<|im_end|>\n<|im_start|>assistant\n"
FIELDS = {"name": {"type": "string", "maxLength": 12}, "mood": {"enum": ["sad", "glad"]}}
SCHEMA = {"type": "object", "properties": FIELDS, "required": list(FIELDS)}
GRAMMAR = Grammar("json_schema", json.dumps(SCHEMA))


@pytest.fixture(scope="module")
def serving(demo_gguf: Path) -> Iterator[Serving]:
    served = Serving(demo_gguf)
    answers(served, spare=False)  # from now on the prompt is a kept one, for all alike
    yield served
    served.close()


@pytest.fixture
def masking_threads(monkeypatch) -> list[str]:
    """The names of the threads that find out what may follow."""
    names: list[str] = []
    compute = Matcher.compute_mask

    def noted(matcher: Matcher) -> None:
        names.append(threading.current_thread().name.partition("_")[0])
        compute(matcher)

    monkeypatch.setattr(Matcher, "compute_mask", noted)
    return names


def answers(serving: Serving, *, spare: bool) -> list[Answer]:
    """Three bound ones and a free one, drawn at once."""
    serving.engine.runner._masks = MaskThread(spare=spare)
    hot = [SamplingParams(seed=seed, temperature=1.5) for seed in range(3)]
    ids = [serving.ask(PROMPT, grammar=GRAMMAR, sampling=one, num_predict=60) for one in hot]
    ids.append(serving.ask(PROMPT))
    serving.run()
    return [serving.answers[id] for id in ids]


def test_they_are_found_ahead_where_a_processor_is_spare(serving, masking_threads):
    plain = answers(serving, spare=False)
    assert {*masking_threads} == {"MainThread"}
    masking_threads.clear()

    ahead = answers(serving, spare=True)

    assert "masks" in masking_threads
    assert [answer.text for answer in ahead] == [answer.text for answer in plain]
    assert all(json.loads(answer.text) for answer in ahead[:3])


def test_a_step_that_is_broken_off_leaves_them_as_they_are(serving):
    plain = answers(serving, spare=True)
    serving.in_nodes(900, serving.engine_abort)

    again = answers(serving, spare=True)

    assert [answer.text for answer in again] == [answer.text for answer in plain]


class Slow:
    """A constraint that takes its time."""

    known = False

    def look_ahead(self) -> None:
        threading.Event().wait(0.1)
        self.known = True


def test_nobody_goes_on_before_the_thread_is_done():
    constraint = Slow()

    with MaskThread(spare=True).ahead([constraint]):
        pass

    assert constraint.known
