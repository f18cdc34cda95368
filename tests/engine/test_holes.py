"""The one in the middle ends: the others' steps stay one graph, and their answers what they were."""

import pytest
from serving import Serving

MODELS = ["demo_gguf", "q4_k_gguf", "mamba_gguf", pytest.param("smollm2", marks=pytest.mark.real)]

STORIES = ("Once upon a time", "The cat", "A dog")
SHORT, WHOLE = 6, 20  # tokens


@pytest.fixture(scope="module", params=MODELS)
def serving(request):
    serving = Serving(request.getfixturevalue(request.param))
    yield serving
    serving.close()


def answers(serving: Serving, order, ends_early: str) -> dict:
    """Three stories, with slots in this order; one of them ends early."""
    lengths = {story: SHORT if story == ends_early else WHOLE for story in STORIES}
    asked = {story: serving.ask(story, num_predict=lengths[story]) for story in order}
    serving.run()
    return {story: serving.answers[request] for story, request in asked.items()}


@pytest.mark.parametrize("ends_early", STORIES[:2])
def test_a_hole_is_closed_and_the_others_go_on_unchanged(serving, ends_early):
    last = [story for story in STORIES if story != ends_early]

    dense = answers(serving, [*last, ends_early], ends_early)
    closed = answers(serving, STORIES, ends_early)

    assert {story: answer.text for story, answer in closed.items()} == {
        story: answer.text for story, answer in dense.items()
    }
    assert [closed[story].steps for story in last] == [dense[story].steps for story in last]
