"""A Hub set up as the README says: two users' kernels, their servers' /ollama, a killed service."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

GENERATE = "%%generate -m demo -t 0 -o seed=1 -o num_predict=20\nWrite a short story about a fox."
SHOWN = "import ollama_nb; print(len(ollama_nb.stats()), ollama_nb.stats().answer_tokens.sum())"
WHERE = "print(ollama_nb.connect().url)"
PACKAGE = """
import ollama
answer = ollama.generate("demo", "Once", options={"num_predict": 5})
print(answer.eval_count, [model.model for model in ollama.Client().list().models])"""


@pytest.fixture(scope="module", params=["alice", "bob"])
def kernel(request):
    kernel = request.getfixturevalue(request.param).kernel()
    yield kernel
    kernel.channels.close()


def test_each_user_s_kernel_generates_with_nothing_to_configure(hub, kernel) -> None:
    kernel.run("%load_ext ollama_nb")

    answer = kernel.run(GENERATE)

    assert "fox" in answer or len(answer) > 20, answer
    assert "Traceback" not in answer
    assert kernel.run(SHOWN) == "1 20"
    assert kernel.run(WHERE) == hub.service


def test_the_ollama_package_works_in_each_kernel(kernel) -> None:
    assert kernel.run(PACKAGE) == "5 ['demo:latest']"


def test_each_user_s_usage_is_their_own(kernel) -> None:
    kernel.run("import ollama_nb; ollama_nb.generate('Once', options={'num_predict': 5})")

    mine = kernel.run("print(*set(ollama_nb.usage().user), ollama_nb.usage().answer_tokens.max())")
    others = kernel.run(
        "try: ollama_nb.usage(everybody=True)\nexcept ollama_nb.NotAllowed as error: print(error)"
    )

    name, most = mine.split()
    assert name in ("alice", "bob")
    assert int(most) > 0
    assert f"{name} may not see what others use here: ask" in others
