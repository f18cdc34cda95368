"""What the files of a tokenizer say, in all the places where they may say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_tokenizers as tokens
from ollama_nb_server.library.convert import tokenizers
from ollama_nb_server.library.convert.config import Config
from ollama_nb_server.library.convert.folder import Folder

FIRST = len(tokens.BPE_TOKENS)  # <|begin|>; <|endoftext|>, <|turn|>, <tool_call> follow
END, TURN = FIRST + 1, FIRST + 2


def said(
    folder: Path, files: tokens.Files, size: int = tokens.BPE_SIZE, **config: Any
) -> dict[str, Any]:
    """The keys under `tokenizer`, shortened."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    found = tokenizers.metadata(Folder(folder), Config({"vocab_size": size, **config}), False)
    return {key.removeprefix("tokenizer.ggml."): value.value for key, value in found.items()}


def byte_level(processor: dict[str, Any] | None = None, **settings: Any) -> tokens.Files:
    files = tokens.of_bytes(tokens.split(tokens.QWEN2), **settings)
    if processor is None:
        return files
    file = {**json.loads(files["tokenizer.json"]), "post_processor": processor}
    return {**files, "tokenizer.json": tokens.text(file)}


NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]


@pytest.mark.parametrize(
    ("settings", "files", "template"),
    [
        ({"chat_template": "in the settings"}, {}, "in the settings"),
        ({"chat_template": NAMED}, {}, "plain"),
        ({"chat_template": NAMED[:1]}, {}, None),
        ({}, {"chat_template.jinja": "in a file"}, "in a file"),
        ({}, {"chat_template.json": '{"chat_template": "in JSON"}'}, "in JSON"),
        ({"chat_template": "in the settings"}, {"chat_template.jinja": "in a file"}, "in the settings"),
        ({}, {}, None),
    ],
)  # fmt: skip
def test_where_a_chat_template_is(
    settings: dict[str, Any], files: tokens.Files, template: str | None, tmp_path: Path
) -> None:
    found = said(tmp_path, {**byte_level(**settings), **files})

    assert found.get("tokenizer.chat_template") == template


@pytest.mark.parametrize(
    ("files", "config", "ids"),
    [
        (byte_level(), {}, {"eos_token_id": END, "padding_token_id": END}),
        (byte_level(eos_token={"content": "<|turn|>"}), {}, {"eos_token_id": TURN}),
        (byte_level(eos_token="<|turn|>"), {"eos_token_id": END}, {"eos_token_id": TURN, "eot_token_id": None}),
        (byte_level(eos_token=None), {"eos_token_id": [TURN, FIRST]}, {"eos_token_id": TURN, "eot_token_id": FIRST}),
        (byte_level(eos_token=None), {"eos_token_id": 9999}, {"eos_token_id": None}),
        ({**byte_level(), "generation_config.json": f'{{"eos_token_id": [{END}, {TURN}, {FIRST}]}}'}, {},
         {"eos_token_id": END, "eot_token_id": TURN, "eom_token_id": FIRST}),
        ({**byte_level(eos_token=None), "special_tokens_map.json": '{"eos_token": "<|turn|>"}'}, {},
         {"eos_token_id": TURN}),
    ],
)  # fmt: skip
def test_which_tokens_are_special(
    files: tokens.Files, config: dict[str, Any], ids: dict[str, int | None], tmp_path: Path
) -> None:
    found = said(tmp_path, files, **config)

    assert {name: found.get(name) for name in ids} == ids


ENDING = {**tokens.template("<|begin|>", FIRST, "<|turn|>", TURN)}


@pytest.mark.parametrize(
    ("files", "flags"),
    [
        (byte_level(), {"add_bos_token": False, "add_eos_token": False}),
        (byte_level(begins=True), {"add_bos_token": True, "add_eos_token": False}),
        (byte_level(add_bos_token=True), {"add_bos_token": False}),
        (byte_level({}, add_bos_token=True), {"add_bos_token": True, "add_eos_token": None}),
        (byte_level(ENDING), {"add_bos_token": True, "add_eos_token": True, "eos_token_id": TURN, "eot_token_id": END}),
        (byte_level({"type": "RobertaProcessing"}), {"add_bos_token": True, "add_eos_token": True, "add_sep_token": True}),
    ],
)  # fmt: skip
def test_what_a_text_begins_and_ends_with(
    files: tokens.Files, flags: dict[str, Any], tmp_path: Path
) -> None:
    found = said(tmp_path, files)

    assert {name: found.get(name) for name in flags} == flags


def test_added_tokens_without_a_row_are_left_out(tmp_path: Path) -> None:
    found = said(tmp_path, byte_level(), size=FIRST + 2)

    assert found["tokens"][-1] == b"<|endoftext|>"
    assert len(found["tokens"]) == len(found["token_type"]) == FIRST + 2


def test_rows_without_a_token_are_filled(tmp_path: Path) -> None:
    found = said(tmp_path, byte_level(), size=tokens.BPE_SIZE + 2)

    assert found["tokens"][-1] == f"[PAD{tokens.BPE_SIZE + 1}]".encode()
    assert found["token_type"][-1] == tokens.UNUSED


def test_spaces_in_merges_are_written_as_the_letter_for_them(tmp_path: Path) -> None:
    files = byte_level()
    file = json.loads(files["tokenizer.json"])
    file["model"]["merges"] = [[" ", "t"]]

    found = said(tmp_path, {**files, "tokenizer.json": tokens.text(file)})

    assert found["merges"] == [f"{tokens.BYTE_SPACE} t"]


def test_a_tokenizer_model_of_another_format_gives_way_to_tokenizer_json(tmp_path: Path) -> None:
    found = said(tmp_path, {**byte_level(), "tokenizer.model": b"IQ== 0\nIg== 1\n"})

    assert found["model"] == "gpt2"


def test_words_are_marked_at_their_beginning(tmp_path: Path) -> None:
    found = said(tmp_path, tokens.of_words(), size=len(tokens.WORDS))

    words = [word.decode() for word in found["tokens"]]
    assert words[:3] == ["[PAD]", "[UNK]", "[CLS]"]
    assert words[7:9] == [f"{tokens.SPACE}boat", "s"]
    assert found["normalizer.lowercase"] is True


def test_an_older_vocabulary_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    old = said(tmp_path, tokens.of_words(json_too=False), size=len(tokens.WORDS))
    new = said(tmp_path / "new", tokens.of_words(), size=len(tokens.WORDS))

    same = ("tokens", "token_type", "seperator_token_id", "mask_token_id", "bos_token_id")
    assert {name: old.get(name) for name in same} == {name: new.get(name) for name in same}
