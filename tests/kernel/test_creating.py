"""`create()`, `%%modelfile` and `%ollama create`: against a foreign server, then against ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cells import Cells, eventually, kernel_environ

import ollama_nb
from ollama_nb.connection.current import current
from ollama_nb.errors import (
    BadModelfile,
    NoSuchModelFile,
    NotDone,
    NotText,
    ServerWarning,
    UnfitModelFile,
    UnknownOption,
)
from ollama_nb.managing import uploading

WEIGHTS = b"GGUF" + bytes(3000)
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with a GGUF file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.gguf").write_bytes(WEIGHTS)
    return tmp_path


def test_a_model_of_another_one_needs_no_files(connected, folder):
    ollama_nb.create("pirate", from_="demo", system="Arr.", parameters={"stop": "x"}, show=False)

    assert connected.requests[-1] == {
        "model": "pirate",
        "from": "demo",
        "system": "Arr.",
        "parameters": {"stop": ["x"]},
        "stream": True,
    }
    assert "pirate" in connected.models


def test_every_part_of_a_modelfile_is_sent(connected, folder):
    ollama_nb.create(
        "mine",
        'FROM demo\nSYSTEM """two\nlines"""\nTEMPLATE {{ .Prompt }}\nPARAMETER num_ctx 512\n'
        "LICENSE MIT\nMESSAGE user hi\nRENDERER r\nPARSER p\nREQUIRES v0.1.0\n",
        quantize="q8_0",
        show=False,
    )

    assert connected.requests[-1] == {
        "model": "mine",
        "from": "demo",
        "template": "{{ .Prompt }}",
        "system": "two\nlines",
        "renderer": "r",
        "parser": "p",
        "requires": "0.1.0",
        "license": ["MIT"],
        "parameters": {"num_ctx": 512},
        "messages": [{"role": "user", "content": "hi"}],
        "quantize": "q8_0",
        "stream": True,
    }


def test_arguments_stand_in_for_lines_and_parameters_join_them(connected, folder):
    ollama_nb.create(
        "mine",
        "FROM demo\nSYSTEM a\nPARAMETER num_ctx 512\nPARAMETER top_k 5",
        system="b",
        license="MIT",
        parameters={"top_k": 9},
        show=False,
    )

    sent = connected.requests[-1]
    assert (sent["system"], sent["license"]) == ("b", ["MIT"])
    assert sent["parameters"] == {"num_ctx": 512, "top_k": 9}


def test_a_file_is_sent_once(connected, folder, capsys):
    ollama_nb.create("one", from_="a.gguf")
    ollama_nb.create("two", "FROM ./a.gguf")

    assert connected.store.uploads == [DIGEST]
    assert connected.store.blobs[DIGEST] == WEIGHTS
    assert connected.requests[-1]["files"] == {"a.gguf": DIGEST}
    assert capsys.readouterr().out.splitlines() == [
        "hashing a.gguf: 3.0 kB, 100 %",
        "uploading a.gguf: 3.0 kB, 100 %",
        "one is created",
        "hashing a.gguf: 3.0 kB, 100 %",
        "two is created",
    ]


def test_a_blob_of_the_server_is_neither_read_nor_sent(connected, folder):
    connected.store.blobs[DIGEST] = WEIGHTS

    ollama_nb.create("one", from_=f"/far/away/blobs/{DIGEST.replace(':', '-')}", show=False)

    assert connected.requests[-1]["files"] == {f"{DIGEST.replace(':', '-')}.gguf": DIGEST}
    assert connected.store.uploads == []


def test_a_blob_of_another_store_here_is_sent(connected, folder):
    name = DIGEST.replace(":", "-")
    (folder / name).write_bytes(WEIGHTS)

    ollama_nb.create("one", from_=f"./{name}", show=False)

    assert connected.store.uploads == [DIGEST]


def test_a_blob_that_nobody_has_is_told(connected, folder):
    with pytest.raises(UnfitModelFile, match="the server has no such blob"):
        ollama_nb.create("one", from_=f"@{DIGEST}", show=False)


def test_a_folder_and_an_adapter_are_sent_by_their_names(connected, folder):
    for name in ("hf/model.safetensors", "hf/config.json", "lora/adapter_model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / "lora/adapter_config.json").write_text("{}")

    ollama_nb.create("one", from_="hf", adapter="lora", show=False)

    sent = connected.requests[-1]
    assert list(sent["files"]) == ["model.safetensors", "config.json"]
    assert list(sent["adapters"]) == ["adapter_model.safetensors", "adapter_config.json"]


def test_a_modelfile_s_paths_begin_beside_it(connected, folder):
    (folder / "sub").mkdir()
    (folder / "a.gguf").rename(folder / "sub/a.gguf")
    (folder / "sub/Modelfile").write_text("FROM ./a.gguf")

    ollama_nb.create("one", Path("sub/Modelfile"), show=False)

    assert connected.requests[-1]["files"] == {"a.gguf": DIGEST}


def test_a_file_is_never_in_memory_whole(connected, folder, monkeypatch):
    monkeypatch.setattr(uploading, "PIECE_BYTES", 1000)
    steps = []
    (file,) = ollama_nb.managing.modelfile.files.local_files("a.gguf", folder)

    uploading.uploaded(current(), [file], steps.append)

    assert [step["completed"] for step in steps] == [1000, 2000, 3000, 3004] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("x", "FROM demo\nPARAMETER foo 1"), BadModelfile, "line 2"),
        (("x", "SYSTEM a"), BadModelfile, "no FROM line"),
        (("x", Path("nowhere/Modelfile")), NoSuchModelFile, "nowhere"),
        (("x", "FROM ./no.gguf"), NoSuchModelFile, "no.gguf"),
        (("x", None), NotText, "the Modelfile"),
        ((None, "FROM demo"), NotText, "the name of the model"),
        (("broken", "FROM demo"), NotDone, "creating broken failed: no space left on device"),
    ],
)
def test_what_cannot_be_is_told(connected, folder, arguments, error, words):
    with pytest.raises(error, match=words):
        ollama_nb.create(*arguments, show=False)


def test_a_modelfile_and_from_are_one_too_many(connected, folder):
    with pytest.raises(BadModelfile, match="not both"):
        ollama_nb.create("x", "FROM demo", from_="demo")


def test_a_misspelt_parameter_is_refused(connected, folder):
    with pytest.raises(UnknownOption, match="num_ctx"):
        ollama_nb.create("x", from_="demo", parameters={"num_ctxx": 1})


def test_a_parameter_of_old_times_is_left_out_and_told(connected, folder):
    with pytest.warns(ServerWarning, match="PARAMETER low_vram has no effect"):
        ollama_nb.create("x", "FROM demo\nPARAMETER low_vram true", show=False)

    assert "parameters" not in connected.requests[-1]


def test_the_cell_is_a_modelfile_taken_literally(cells, other_for_cells):
    cells.run("x = 'expanded'")

    run = cells.run(
        "%%modelfile mine -o num_ctx=256 --quantize q4_K_M\nFROM demo\n"
        'TEMPLATE """{{ .System }} {x} $x\n{{ .Prompt }}"""'
    )

    assert run.text == "mine is created"
    sent = other_for_cells.requests[-1]
    assert sent["template"] == "{{ .System }} {x} $x\n{{ .Prompt }}"
    assert (sent["quantize"], sent["parameters"]) == ("q4_K_M", {"num_ctx": 256})


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("%%modelfile x\nFROM demo\nFOO bar", "BadModelfile", "(line 2): command must be one of"),
        ("%%modelfile\nFROM demo", "MagicUsage", "required: name"),
        ("%%modelfile x y\nFROM demo", "MagicUsage", "y"),
        ("%%modelfile x -o num_ctx\nFROM demo", "MagicUsage", "name=value"),
        ("%%modelfile x\nFROM ./nowhere.gguf", "NoSuchModelFile", "nowhere.gguf"),
        ("%%modelfile broken\nFROM demo", "NotDone", "no space left"),
    ],
)
def test_a_mistake_in_the_cell_is_one_line(cells, code, name, words):
    run = cells.run(code)

    assert (run.error["ename"], len(run.error["traceback"])) == (name, 1)
    assert words in run.error["evalue"]


def test_ctrl_c_while_a_file_is_hashed_or_sent_creates_nothing(cells, other_for_cells, tmp_path):
    with (tmp_path / "big.gguf").open("wb") as file:
        file.write(b"GGUF")
        file.truncate(20_000_000_000)  # a hole: takes no room, but a while to read
    due = iter([cells.interrupt])
    num_requests = len(other_for_cells.requests)

    run = cells.run(
        f"%ollama create x --from {tmp_path}/big.gguf",
        watched=True,
        on_message=lambda message: (
            "hashing big.gguf" in str(message["content"]) and next(due, lambda: None)()
        ),
    )

    assert run.error["ename"] == "TransferStopped"
    assert "nothing was created" in run.error["evalue"]
    assert len(other_for_cells.requests) == num_requests


# --- our server -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(ollama_server, tmp_path_factory):
    """A kernel whose server is ours, in a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    kernel = Cells(kernel_environ(ollama_server.url, home))
    kernel.run(f"%cd {home}\nimport ollama_nb")
    yield kernel
    kernel.close()


def test_our_server_makes_what_the_cell_says(real):
    run = real.run(
        "%%modelfile storyteller\nFROM demo\nSYSTEM You tell stories.\nPARAMETER temperature 0\n"
        'PARAMETER stop "\n\n"\nMESSAGE user hi\nMESSAGE assistant hello\nLICENSE BSD'
    )

    assert run.text == "storyteller is created"
    assert real.run("card = ollama_nb.show('storyteller')").status == "ok"
    assert real.run("card.system, card.license, len(card.messages)").result == (
        "('You tell stories.', 'BSD', 2)"
    )
    assert real.run("card.parameters").result == r"{'stop': ['\n\n'], 'temperature': 0}"
    assert real.run("%generate -m storyteller -o num_predict=5 Once").status == "ok"


def test_a_printed_modelfile_makes_the_same_model_again(real):
    real.run("%%modelfile first\nFROM demo\nSYSTEM Be kind.\nPARAMETER num_ctx 256")
    real.run("text = ollama_nb.show('first').modelfile")

    assert real.run("ollama_nb.create('second', text)").status == "ok"

    real.run("one, two = ollama_nb.show('first'), ollama_nb.show('second')")
    facts = "system parameter_count quantization capabilities"
    told = real.run(f"[f for f in '{facts}'.split() if one[f] != two[f]]")
    assert told.result == "[]"


def test_our_server_takes_a_gguf_file(real, demo_gguf, ollama_server):
    run = real.run(f"%ollama create copied --from {demo_gguf}", watched=True)

    assert run.text.splitlines()[0].startswith("hashing demo.gguf: ")
    assert run.text.splitlines()[-1] == "copied is created"
    assert real.run("%generate -m copied -t 0 -o num_predict=5 Once").status == "ok"


def test_our_server_s_refusals_are_one_line(real):
    run = real.run("%ollama create small --from demo -q q3_K_S")

    assert run.error["ename"] == "NotDone"
    assert run.error["evalue"].startswith("creating small failed: unsupported quantization type")
    assert len(run.error["traceback"]) == 1


def test_what_our_server_was_sent_stays_whole_after_ctrl_c(real, tmp_path, ollama_server):
    with (tmp_path / "big.gguf").open("wb") as file:
        file.write(b"GGUF")
        file.truncate(400_000_000)
    due = iter([real.interrupt])

    run = real.run(
        f"%ollama create x --from {tmp_path}/big.gguf",
        watched=True,
        on_message=lambda message: (
            "uploading big.gguf" in str(message["content"]) and next(due, lambda: None)()
        ),
    )

    assert run.error["ename"] == "TransferStopped"
    assert real.run("'x:latest' in ollama_nb.models().index").result == "False"
    assert eventually(lambda: real.run("%ollama cp demo again").status == "ok", "it still works")
