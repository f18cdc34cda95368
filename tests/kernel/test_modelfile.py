"""The kernel's reader of Modelfiles: its values, its errors, its files; and the server's beside it."""

from __future__ import annotations

import dataclasses
import random

import pytest
from ollama_nb_server.library.errors import BadModelfile as TheirBadModelfile
from ollama_nb_server.library.modelfile import parse as their_parse

from ollama_nb.errors import BadModelfile, NoSuchModelFile, UnfitModelFile
from ollama_nb.managing.modelfile.files import local_files
from ollama_nb.managing.modelfile.ingredients import gathered
from ollama_nb.managing.modelfile.scanner import decoded
from ollama_nb.modelfile import Modelfile, parse

COMMANDS = '"from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", or "requires"'
ROLES = '"system", "user", or "assistant"'
GOOD = [
    "FROM a",
    "from a\nFrom b\n  system one\nSYSTEM two\r\nsYsTeM three",
    "FROM llama3 # x",
    'FROM a\nSYSTEM """a\nb"""\nTEMPLATE """{{ if .System }}{{ .System }}{{ end }}\n{{ .Prompt }}"""',
    'FROM a\nSYSTEM "a\nb"',
    'FROM a\nSYSTEM """say "hi" now"""',
    'FROM a\nSYSTEM say "hi" now',
    "FROM a\nSYSTEM 'a'",
    "FROM a\nSYSTEM \nTEMPLATE x",
    "FROM a\nSYSTEM  \t padded \t",
    "FROM a\nSYSTEM bell\x07 nbsp\u00a0 tab\t emoji🙂",
    'FROM a\nSYSTEM """\n\n"line"\n"""',
    'FROM a\nSYSTEM ""\nLICENSE """"""',
    "# SYSTEM no\n  # nor this\nFROM a",
    "FROM a\rSYSTEM b\r\n\r\nSYSTEM c\r\n",
    "FROM a\nPARAMETER stop a b\nPARAMETER stop c\nPARAMETER num_ctx 512\nPARAMETER num_ctx +1024",
    "FROM a\nPARAMETER temperature 0.7\nPARAMETER top_p .5\nPARAMETER min_p 1e-2",
    "FROM a\nPARAMETER use_mmap F\nPARAMETER low_vram true\nPARAMETER mirostat 2",
    'FROM a\nPARAMETER stop "<|end|>"\nPARAMETER stop " x "',
    "FROM a\nMESSAGE user hi\nMESSAGE assistant hello there\nMESSAGE system \n",
    "FROM a\nLICENSE one\nLICENSE two\nREQUIRES v0.14.0\nRENDERER r\nPARSER p\nADAPTER x\nDRAFT d",
]
BAD = [
    ("", "no FROM line"),
    ("SYSTEM hi", "no FROM line"),
    ("FOO bar", f"(line 1): command must be one of {COMMANDS}"),
    ("FROM a\nFOO bar", f"(line 2): command must be one of {COMMANDS}"),
    ("FROM\nmodel", f"(line 2): command must be one of {COMMANDS}"),
    ("FR0M a", f"(line 1): command must be one of {COMMANDS}"),
    ("FROM", f"(line 1): command must be one of {COMMANDS}"),
    ("MESSAGE tool hi", f"(line 1): message role must be one of {ROLES}"),
    ("MESSAGE User hi", f"(line 1): message role must be one of {ROLES}"),
    ("FROM a\nMESSAGE us3r hi", "(line 2): unexpected EOF: us"),
    ('FROM a\nSYSTEM "open', "(line 2): unexpected EOF"),
    ('FROM a\nSYSTEM """x""" y\nLICENSE z\n', "(line 4): unexpected EOF"),
    ('FROM a\nSYSTEM """"', "(line 2): unexpected EOF"),
    ("FROM a\nPARAMETER num-ctx 1", "(line 2): unexpected EOF: num"),
    ("FROM a\nPARAMETER num_ctx", "(line 2): unexpected EOF: num_ctx"),
    ("FROM a\nPARAMETER num_ctx\n", "(line 3): unexpected EOF: num_ctx"),
    ("FROM a\nPARAMETER  1", "(line 2): unknown parameter ''"),
    ("FROM a\nPARAMETER num_ctx 1.5", "(line 2): invalid int value [1.5]"),
    ("FROM a\nPARAMETER temperature hot", "(line 2): invalid float value [hot]"),
    ("FROM a\nPARAMETER use_mmap yes", "(line 2): invalid bool value [yes]"),
    ("FROM a\nPARAMETER Num_ctx 1", "(line 2): unknown parameter 'Num_ctx'"),
    ("FROM a\nREQUIRES soon", "(line 2): requires must be a valid semver (e.g. 0.14.0)"),
]
# What the random texts are made of: whole lines, most of them right, some not.
LINES = [
    "FROM a", "from b:latest", "SYSTEM x", 'SYSTEM """', '"""', '"', 'say "so"', "# note", "", " ",
    "TEMPLATE {{ .Prompt }}", 'TEMPLATE """{{ .Prompt }}"""', "ADAPTER ./lora", "LICENSE MIT",
    "PARAMETER stop </s>", "PARAMETER top_k 5", "PARAMETER top_p 0.9", "PARAMETER top_k x",
    "MESSAGE user hi", 'MESSAGE assistant "two', "MESSAGE tool x", "REQUIRES 1.2", "REQUIRES x",
    "PARAMETER nope 1", "PARAMETER", "NOPE x", "FROM", "SYSTEM ", "\tPARSER p\x07\u00a0é",
]  # fmt: skip
ENDS = ["\n"] * 8 + ["\r\n", "\r", "\n\n", " ", ""]


def _random_text(seed: int) -> str:
    dice = random.Random(seed)
    body = "".join(dice.choice(LINES) + dice.choice(ENDS) for _ in range(dice.randint(1, 12)))
    return dice.choice(["FROM base\n", "FROM base\n", ""]) + body


def _outcome(reader, error, text: str) -> dict[str, object] | str:
    try:
        return dataclasses.asdict(reader(text))
    except error as refusal:
        return str(refusal)


def test_every_command_is_read():
    asked = parse(
        "FROM base\nADAPTER ./lora\nDRAFT small\nTEMPLATE {{ .Prompt }}\nSYSTEM be kind\n"
        "RENDERER r\nPARSER p\nREQUIRES v0.14.0\nLICENSE one\nLICENSE two\nMESSAGE user hi\n"
        "PARAMETER stop a b\nPARAMETER stop c\nPARAMETER num_ctx 512\nPARAMETER temperature 0.7\n"
        "PARAMETER use_mmap false\nPARAMETER numa true\n"
    )

    assert (asked.sources, asked.adapters, asked.drafts) == (["base"], ["./lora"], ["small"])
    assert asked.without_effect == ["numa"]
    assert asked.wording() == {
        "template": "{{ .Prompt }}",
        "system": "be kind",
        "renderer": "r",
        "parser": "p",
        "requires": "0.14.0",
        "license": ["one", "two"],
        "messages": [{"role": "user", "content": "hi"}],
        "parameters": {
            "stop": ["a b", "c"],
            "num_ctx": 512,
            "temperature": 0.7,
            "use_mmap": False,
        },
    }


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_errors_say_what_and_where(text, sentence):
    with pytest.raises(BadModelfile) as refusal:
        parse(text)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "line",
    [
        *("num_ctx 1_000", "num_ctx １", "num_ctx 99999999999999999999", "top_p 1e39", "top_p nan"),
        *("top_p 1_0", "temperature inf", "temperature 0x1"),
    ],
)
def test_numbers_that_no_request_can_hold_are_refused(line):
    with pytest.raises(BadModelfile, match=r"^\(line 2\): invalid (int|float) value"):
        parse(f"FROM a\nPARAMETER {line}")


@pytest.mark.parametrize("text", [*GOOD, *(text for text, _ in BAD)])
def test_both_readers_agree(text):
    ours = _outcome(parse, BadModelfile, text)

    assert ours == _outcome(their_parse, TheirBadModelfile, text)


def test_both_readers_agree_on_random_texts():
    texts = [_random_text(seed) for seed in range(3000)]

    ours = [_outcome(parse, BadModelfile, text) for text in texts]

    assert ours == [_outcome(their_parse, TheirBadModelfile, text) for text in texts]
    num_read = sum(isinstance(outcome, dict) for outcome in ours)
    assert 300 < num_read < 2700  # the texts are neither all right nor all wrong


def test_a_long_text_in_quotes_is_read_in_one_go():
    license_text = 'THE "SOFTWARE" IS PROVIDED AS IS\n' * 20_000

    assert parse(f'FROM a\nLICENSE """{license_text}"""').licenses == [license_text]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(encoding):
    assert parse(decoded("FROM a\nSYSTEM é".encode(encoding))).system == "é"


# --- files ----------------------------------------------------------------------------------------


def _write(folder, *names, data=b"GGUF..."):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _names(text, folder):
    return [file.name for file in local_files(text, folder)]


@pytest.mark.parametrize("text", ["a.gguf", "./a.gguf", "{}/a.gguf", "~/a.gguf"])
def test_a_path_may_be_written_in_many_ways(text, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _write(tmp_path, "a.gguf")

    assert _names(text.format(tmp_path), tmp_path) == ["a.gguf"]


@pytest.mark.parametrize(
    "text", ["demo", "llama3.2:1b", "hf.co/user/Some-GGUF:Q4_K_M", "host:5000/a/b.gguf:latest"]
)
def test_a_name_is_not_a_path(text, tmp_path):
    assert local_files(text, tmp_path) is None


def test_a_folder_that_is_called_like_a_model_is_one_only_if_it_holds_one(tmp_path):
    _write(tmp_path, "demo/notes.txt")
    assert local_files("demo", tmp_path) is None

    _write(tmp_path, "demo/model.gguf")
    assert _names("demo", tmp_path) == ["model.gguf"]


@pytest.mark.parametrize("text", ["./no.gguf", "no.gguf", "../no", "~/no", "/no/such", "no.bin"])
def test_a_path_that_leads_nowhere_is_told(text, tmp_path):
    with pytest.raises(NoSuchModelFile, match="there is no"):
        local_files(text, tmp_path)


def test_the_first_part_of_a_split_file_brings_the_others(tmp_path):
    names = [f"big-0000{part}-of-00003.gguf" for part in (1, 2, 3)]
    _write(tmp_path, *names)

    assert _names(names[0], tmp_path) == names
    (tmp_path / names[1]).unlink()
    with pytest.raises(UnfitModelFile, match=r"big-00002-of-00003\.gguf is missing"):
        local_files(names[0], tmp_path)


def test_safetensors_come_with_what_describes_them(tmp_path):
    _write(tmp_path, "model-1.safetensors", "model-2.safetensors", "config.json", "README.md")
    _write(tmp_path, "tokenizer.json", "tokenizer.model", "chat_template.jinja", "onnx/x.onnx")
    _write(tmp_path, "1_Pooling/config.json", "training.bin", "other.gguf")

    assert _names(".", tmp_path) == [
        *("model-1.safetensors", "model-2.safetensors", "config.json", "tokenizer.json"),
        *("1_Pooling/config.json", "chat_template.jinja", "tokenizer.model"),
    ]


@pytest.mark.parametrize(
    ("weights", "taken"),
    [
        (["consolidated.safetensors", "x.gguf"], ["consolidated.safetensors"]),
        (["adapter_model.safetensors"], ["adapter_model.safetensors"]),
        (["b.gguf", "a.gguf", "old.bin"], ["a.gguf", "b.gguf"]),
        (["part/model.safetensors"], ["part/model.safetensors"]),
    ],
)
def test_of_a_folder_the_first_kind_of_weights_is_taken(weights, taken, tmp_path):
    _write(tmp_path, *weights)

    assert _names("./", tmp_path) == taken


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.pth", "model.pt", "m.ckpt"])
def test_pickles_are_never_taken(name, tmp_path):
    _write(tmp_path, name, data=b"PK\x03\x04")

    for text in (f"./{name}", "."):
        with pytest.raises(UnfitModelFile, match="convert them to safetensors"):
            local_files(text, tmp_path)


def test_a_gguf_file_may_have_any_name(tmp_path):
    _write(tmp_path, "weights.bin")

    assert _names("weights.bin", tmp_path) == ["weights.bin"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.gguf", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("model.safetensors", b"\0\0\0", "name the folder"),
    ],
)
def test_a_file_that_is_no_model_is_refused(name, data, words, tmp_path):
    _write(tmp_path, name, data=data)

    with pytest.raises(UnfitModelFile, match=words):
        local_files(name, tmp_path)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(UnfitModelFile, match=r"neither a model\*.safetensors nor a GGUF file"):
        local_files(".", tmp_path)


def test_a_link_out_of_a_folder_is_refused_and_one_within_is_not(tmp_path):
    _write(tmp_path, "secret", "model/real/weights")
    (tmp_path / "model/inside.gguf").symlink_to("real/weights")
    assert _names("./model", tmp_path) == ["inside.gguf"]

    (tmp_path / "model/outside.gguf").symlink_to("../secret")
    with pytest.raises(UnfitModelFile, match="leads out of its folder"):
        local_files("./model", tmp_path)


def test_a_snapshot_of_the_hugging_face_cache_is_a_folder_of_links(tmp_path):
    snapshot = tmp_path / "models--a--b/snapshots/0123"
    _write(tmp_path, "models--a--b/blobs/1")
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/1")

    assert _names(str(snapshot), tmp_path) == ["model.safetensors"]


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text", [f"@sha256:{DIGEST}", f"/models/blobs/sha256-{DIGEST}", f"C:\\m\\sha256-{DIGEST}"]
)
def test_a_blob_of_the_server_is_named_by_its_digest(text, tmp_path):
    (file,) = gathered(parse(f"FROM {text}"), tmp_path).files

    assert (file.digest, file.path) == (f"sha256:{DIGEST}", None)


def test_a_model_and_files_at_once_are_refused(tmp_path):
    _write(tmp_path, "mmproj.gguf")

    with pytest.raises(BadModelfile, match=r"a model \(demo\) and a file \(mmproj.gguf\)"):
        gathered(parse("FROM demo\nFROM ./mmproj.gguf"), tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    _write(tmp_path, "a/model.gguf", "b/model.gguf")

    with pytest.raises(BadModelfile, match="have the same name"):
        gathered(parse("FROM ./a/model.gguf\nFROM ./b/model.gguf"), tmp_path)


def test_an_adapter_must_be_a_file(tmp_path):
    with pytest.raises(NoSuchModelFile, match="lora"):
        gathered(Modelfile(sources=["demo"], adapters=["lora"]), tmp_path)


def test_a_draft_must_be_another_file(tmp_path):
    _write(tmp_path, "a.gguf")

    with pytest.raises(BadModelfile, match="DRAFT must not name the same file"):
        gathered(parse("FROM ./a.gguf\nDRAFT ./a.gguf"), tmp_path)
