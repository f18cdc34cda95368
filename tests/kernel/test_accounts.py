"""What was used of a shared server, in a kernel: frames, quotas, and clear lines without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest
from cells import Cells, kernel_environ
from ollama_nb_server.sharing.tokens import TokenFile

import ollama_nb
from ollama_nb.errors import NoAccounts, NotAllowed, NotDone, QuotaSpent
from ollama_nb.frames.errors import RowsFailed

SHORT = {"num_predict": 4, "temperature": 0}
PEOPLE = ("ana", "ben", "dan", "del", "dew", "dot", "eve")
NUM_ROWS = 200


@pytest.fixture(scope="module")
def shared(tmp_path_factory, start_server: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """A server that ana, ben and eve share; its address and their tokens."""
    folder = tmp_path_factory.mktemp("shared")
    tokens = TokenFile(folder / "tokens.json")
    named = {name: tokens.add(name, is_admin=name == "eve") for name in PEOPLE}
    (folder / "hub.toml").write_text(
        '[hub]\nquotas = [\n{tokens = 1, window = "7d", users = ["ben"]},\n'
        '{tokens = 60, window = "7d", users = ["dan", "dot", "del", "dew"]},\n]'
    )
    options = ["--tokens", str(tokens.path), "--config", str(folder / "hub.toml")]
    return start_server(*options).url, named


@pytest.fixture
def as_user(shared) -> Callable[[str], None]:
    url, tokens = shared
    return lambda name: ollama_nb.connect(url, token=tokens[name])


def test_usage_is_a_frame_of_ones_own_requests(as_user) -> None:
    as_user("ana")
    answer = ollama_nb.generate("Once upon a time", model="demo", options=SHORT)
    ollama_nb.embed(["a cat"], model="demo")
    frame = ollama_nb.usage(since=timedelta(hours=1))

    assert list(frame.verb) == ["generate", "embed"]
    assert set(frame.user) == {"ana"}
    assert set(frame.status) == {"finished"}
    first = frame.iloc[0]
    assert first.answer_tokens == answer.stats.answer_tokens == 4
    assert first.prompt_tokens == answer.stats.prompt_tokens
    assert first.eval_s == pytest.approx(answer.stats.eval_s)
    assert frame.index.name == "id"
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds["started_at"] == kinds["ended_at"] == "datetime64[us, UTC]"
    assert kinds["answer_tokens"] == "Int64"
    assert kinds["eval_s"] == "float64"
    assert abs(first.ended_at - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")
    assert frame.attrs["quotas"] == []


def test_usage_is_summed_up(as_user) -> None:
    as_user("ana")
    ollama_nb.generate("Once upon a time", model="demo", options=SHORT)
    rows = ollama_nb.usage()
    by_model = ollama_nb.usage(by="model")
    by_day = ollama_nb.usage(by=["day", "verb"])
    whole = ollama_nb.usage(by="all")

    assert by_model.loc["demo:latest", "answer_tokens"] == rows.answer_tokens.sum()
    assert by_model.requests.dtype == "Int64"
    assert by_day.index.names == ["day", "verb"]
    assert by_day.index.get_level_values("day")[0].tz is not None
    assert whole.requests.tolist() == [len(rows)]
    assert ollama_nb.usage(since=datetime.now(timezone.utc)).empty
    assert list(ollama_nb.usage(since="2999-01-01").columns) == list(rows.columns)


def test_only_who_manages_sees_everybody(as_user) -> None:
    as_user("ana")
    ollama_nb.generate("Hi", model="demo", options=SHORT)
    with pytest.raises(NotAllowed, match="ana may not see what others use here: ask"):
        ollama_nb.usage(everybody=True)
    with pytest.raises(NotDone, match="'cat' is none of all, user"):
        ollama_nb.usage(by="cat")
    as_user("eve")
    everybody = ollama_nb.usage(by="user", everybody=True)

    assert "ana" in everybody.index
    assert set(ollama_nb.usage(user="ana").user) == {"ana"}
    assert ollama_nb.usage().empty


def test_a_spent_quota_says_when_there_is_more(as_user) -> None:
    as_user("ben")
    ollama_nb.generate("Hi", model="demo", options=SHORT)
    with pytest.raises(QuotaSpent, match=r"ben's quota of 1 tokens in 7 d is used up") as spent:
        ollama_nb.generate("Hi", model="demo", options=SHORT)
    (quota,) = ollama_nb.usage().attrs["quotas"]

    now = datetime.now(timezone.utc)
    assert timedelta(days=6) < spent.value.retry_at - now <= timedelta(days=7, seconds=1)
    assert quota["used"] > quota["limit"] == 1
    with pytest.raises(QuotaSpent):
        ollama_nb.embed(["a cat"], model="demo")


def of_server(name: str, as_user: Callable[[str], None]) -> pd.DataFrame:
    as_user(name)
    return ollama_nb.usage()


def test_a_spent_quota_stops_rows_once_and_keeps_what_is_done(as_user) -> None:
    as_user("dan")
    frame = pd.DataFrame({"n": [f"number {n}" for n in range(NUM_ROWS)]})
    how = {"model": "demo", "options": SHORT, "details": True, "progress": False}
    with pytest.warns(RowsFailed, match=r"failed and stay empty.*there is more at"):
        some = frame.llm.generate("{{ n }}", in_flight=2, **how)
    done = some["_error"].isna()
    asked = of_server("dan", as_user)
    before = len(of_server("eve", as_user))
    whole = frame.llm.generate("{{ n }}", **how)
    again = of_server("eve", as_user)

    assert 0 < done.sum() < NUM_ROWS / 2
    assert done.sum() <= len(asked) <= done.sum() + 2  # both that were under way heard it
    assert some["_error"][~done].str.contains("dan's quota of 60 tokens").all()
    assert whole["_error"].isna().all()
    assert len(again) - before == (~done).sum()


def test_a_spent_quota_stops_scores_once(as_user) -> None:
    as_user("dot")
    texts = pd.Series([f"number {n}" for n in range(NUM_ROWS)])
    how = {"model": "demo", "details": True, "progress": False}
    with pytest.warns(RowsFailed, match="there is more at"):
        some = texts.llm.classify(["good", "bad"], **how)
    done = some["_error"].isna()
    asked = of_server("dot", as_user)
    as_user("eve")
    whole = texts.llm.classify(["good", "bad"], **how)

    assert 0 < done.sum() < NUM_ROWS
    assert len(asked) <= done.sum() / 16 + 3  # requests have 16 rows, of which 3 are under way
    assert whole["_error"].isna().all()


def test_a_spent_quota_loses_no_vector(as_user) -> None:
    as_user("del")
    texts = pd.Series([f"{n} is a number" for n in range(NUM_ROWS)])
    with pytest.raises(QuotaSpent, match="there is more at"):
        texts.llm.embed(model="demo")
    (first, refused) = of_server("del", as_user).itertuples()
    before = ollama_nb.usage().prompt_tokens.sum()
    as_user("eve")
    vectors = texts.llm.embed(model="demo")
    asked = ollama_nb.usage()
    asked = asked[asked.verb == "embed"]

    assert (first.status, refused.status) == ("finished", "refused")
    assert before > 60
    assert len(vectors) == NUM_ROWS
    assert len(asked) == 3  # of 64 texts at most, of those that were not there


def test_a_quota_that_is_spent_at_once_is_one_error(as_user) -> None:
    as_user("dew")
    ollama_nb.generate("Hi " * 60, model="demo", options=SHORT)
    frame = pd.DataFrame({"n": [f"of dew {n}" for n in range(NUM_ROWS)]})
    for ask in (
        lambda: frame.llm.generate("{{ n }}", model="demo", progress=False),
        lambda: frame["n"].llm.classify(["good", "bad"], model="demo", progress=False),
        lambda: ollama_nb.score(list(frame["n"]), ["good", "bad"], model="demo"),
    ):
        with pytest.raises(QuotaSpent, match="there is more at"):
            ask()
    statuses = ollama_nb.usage().status

    assert 3 <= (statuses == "refused").sum() <= 26  # those that were under way


def test_rows_wait_for_their_user_s_other_rows(start_server, tmp_path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.add("ana", is_admin=False)
    said = {"OLLAMA_NB_SHARING": json.dumps({"max_requests_per_user": 2})}
    server = start_server("--tokens", str(tokens.path), **said)
    ollama_nb.connect(server.url, token=token)
    frame = pd.DataFrame({"n": [f"crowded {n}" for n in range(12)]})
    how = {"model": "demo", "details": True, "progress": False}
    written = frame.llm.generate("{{ n }}", in_flight=3, options=SHORT, **how)
    scored = frame["n"].llm.classify(["good", "bad"], **how)
    refused = ollama_nb.usage(by="code").loc[429, "requests"]

    assert written["_error"].isna().all()
    assert scored["_error"].isna().all()
    assert refused > 0


def test_another_server_has_no_accounts(connected) -> None:
    with pytest.raises(NoAccounts, match=r"keeps no accounts.*ollama_nb.stats"):
        ollama_nb.usage()


def test_one_persons_server_has_no_accounts(ollama_server) -> None:
    ollama_nb.connect(ollama_server.url)
    with pytest.raises(NoAccounts):
        ollama_nb.usage()


def test_cells(shared, tmp_path_factory) -> None:
    url, tokens = shared
    home = tmp_path_factory.mktemp("home")
    cells = Cells(kernel_environ(url, home, OLLAMA_API_KEY=tokens["ben"]))
    try:
        cells.run("%generate -m demo -o num_predict=1 Hi")
        spent = cells.run("%generate -m demo Hi")
        shown = cells.run("%ollama usage")
        denied = cells.run("%ollama usage --by user --everybody")
        misplaced = cells.run("%ollama list --everybody")
    finally:
        cells.close()

    assert spent.error["ename"] == "QuotaSpent"
    assert len(spent.error["traceback"]) == 1
    assert "used up: there is more at" in spent.error["traceback"][0]
    assert "of 1 tokens are used within 7 d; there is more at 20" in shown.stdout
    assert "demo:latest" in shown.result
    assert denied.error["ename"] == "NotAllowed"
    assert "has no option --everybody" in misplaced.error["evalue"]
