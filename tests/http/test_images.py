"""Images over HTTP: made with a projector, shown, seen, left out with old turns, refused."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import vision_models
from vision_models import noise

ROWS = 64  # of any image, for the bundled model's projector
GREEDY = {"temperature": 0, "num_predict": 8, "seed": 1}
STORY = "Once upon a time there was a"


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


RED, BLUE = coded(noise(1)), coded(noise(2))


@pytest.fixture(scope="module")
def eye(models_dir: Path) -> bytes:
    return vision_models.written(models_dir, "demo")[1].read_bytes()


@pytest.fixture(scope="module")
def seeing(ollama_server: Any, eye: bytes, demo_gguf: Path) -> Iterator[httpx.Client]:
    """A client of a server that has `eye` (a Jinja template), `eye-go` (a Go one) and `blind`."""
    with ollama_server.client() as client:
        files = {
            "model.gguf": uploaded(client, demo_gguf.read_bytes()),
            "eye.gguf": uploaded(client, eye),
        }
        template = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}assistant: "
        for body in (
            {"model": "eye", "files": files},
            {"model": "blind", "files": {"model.gguf": files["model.gguf"]}},
            {"model": "eye-go", "from": "eye", "template": template},
        ):
            assert client.post("/api/create", json={**body, "stream": False}).is_success
        yield client
        for model in ("eye", "eye-go", "blind"):
            client.request("DELETE", "/api/delete", json={"model": model})


def uploaded(client: httpx.Client, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert client.post(f"/api/blobs/{digest}", content=data).is_success
    return digest


def generated(client: httpx.Client, prompt: str = STORY, **fields: object) -> httpx.Response:
    body = {"model": "eye", "prompt": prompt, "stream": False, "options": GREEDY, **fields}
    return client.post("/api/generate", json=body)


def answered(client: httpx.Client, *messages: object, **fields: object) -> httpx.Response:
    turns = [
        {"role": "user", **m} if isinstance(m, dict) else {"role": "user", "content": m}
        for m in messages
    ]
    body = {"model": "eye-go", "messages": turns, "stream": False, "options": GREEDY, **fields}
    return client.post("/api/chat", json=body)


def test_show_tells_of_the_projector(seeing: httpx.Client) -> None:
    told = seeing.post("/api/show", json={"model": "eye"}).json()

    assert "vision" in told["capabilities"]
    assert told["projector_info"]["clip.projector_type"] == "mlp"
    assert told["modelfile"].count("\nFROM ") == 2


def test_the_modelfile_that_show_prints_makes_it_again(seeing: httpx.Client) -> None:
    text = seeing.post("/api/show", json={"model": "eye"}).json()["modelfile"]
    body = {"model": "eye-again", "modelfile": text, "stream": False}

    assert seeing.post("/api/create", json=body).is_success
    told = seeing.post("/api/show", json={"model": "eye-again"}).json()
    assert "vision" in told["capabilities"]
    seeing.request("DELETE", "/api/delete", json={"model": "eye-again"})


def test_a_projector_is_given_to_a_model_that_is_there(seeing: httpx.Client, eye: bytes) -> None:
    file = uploaded(seeing, eye)
    bodies = (
        {"from": "demo", "files": {"eye.gguf": file}},
        {"modelfile": f"FROM demo\nFROM @{file}\n"},
        {"from": "eye", "files": {"eye.gguf": file}},  # in place of the one that it has
    )

    for body in bodies:
        made = seeing.post("/api/create", json={"model": "eyed", "stream": False, **body})
        told = seeing.post("/api/show", json={"model": "eyed"}).json()
        assert made.is_success
        assert told["modelfile"].count("\nFROM ") == 2
        assert generated(seeing, model="eyed", images=[RED]).is_success
    seeing.request("DELETE", "/api/delete", json={"model": "eyed"})


def test_a_projector_of_an_older_ollama_is_translated(
    seeing: httpx.Client, models_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "old.gguf"
    vision_models.write_demo_eye(path, kind="")
    body = {"from": "demo", "files": {"eye.gguf": uploaded(seeing, path.read_bytes())}}
    assert seeing.post("/api/create", json={"model": "old", "stream": False, **body}).is_success

    old, new = (generated(seeing, model=model, images=[RED]) for model in ("old", "eye"))

    assert old.json()["response"] == new.json()["response"]
    seeing.request("DELETE", "/api/delete", json={"model": "old"})


@pytest.mark.parametrize(("kind", "most"), [("deepseek4v", 0), ("hunyuanvl", 1)])
def test_projectors_whose_rows_depend_on_their_place_are_refused(
    seeing: httpx.Client, tmp_path: Path, kind: str, most: int
) -> None:
    path = tmp_path / "placed.gguf"
    vision_models.write_demo_eye(path, also=kind)
    body = {"from": "demo", "files": {"eye.gguf": uploaded(seeing, path.read_bytes())}}
    assert seeing.post("/api/create", json={"model": "placed", "stream": False, **body}).is_success

    few = generated(seeing, model="placed", images=[RED] * most)
    many = generated(seeing, model="placed", images=[RED] * (most + 1))

    assert few.is_success
    assert many.status_code == 400
    assert many.json()["error"].startswith(f"a projector of the kind {kind} can be shown ")
    seeing.request("DELETE", "/api/delete", json={"model": "placed"})


def test_a_model_of_the_family_mllama_sees_one_image_a_message(seeing: httpx.Client) -> None:
    body = {"model": "single", "from": "eye", "info": {"model_family": "mllama"}, "stream": False}
    assert seeing.post("/api/create", json=body).is_success

    answers = [
        generated(seeing, model="single", images=[RED]),
        generated(seeing, model="single", images=[RED, BLUE]),
        answered(seeing, {"content": "Hi", "images": [RED, BLUE]}, model="single"),
    ]

    assert [answer.status_code for answer in answers] == [200, 400, 500]
    assert all("only supports one image" in answer.json()["error"] for answer in answers[1:])
    seeing.request("DELETE", "/api/delete", json={"model": "single"})


def test_an_image_is_seen_and_counted(seeing: httpx.Client) -> None:
    red, again, blue, none = (
        generated(seeing, images=images).json() for images in ([RED], [RED], [BLUE], [])
    )

    assert red["response"] == again["response"]
    assert len({red["response"], blue["response"], none["response"]}) == 3
    assert red["prompt_eval_count"] == none["prompt_eval_count"] + ROWS


@pytest.mark.parametrize(
    ("prompt", "images", "shown"),
    [
        ("a [img] b [img]", 2, "a [img-0] b [img-1]"),
        ("a [img]", 2, "[img-1]a [img-0]"),
        ("What is [img-0]?", 1, "[img-0]What is [img-0]?"),
        ("What is [img-0]?", 0, "What is [img-0]?"),
    ],
)
def test_places_in_a_text(seeing: httpx.Client, prompt: str, images: int, shown: str) -> None:
    body = {"images": [RED] * images, "model": "eye-go", "_debug_render_only": True}

    told = generated(seeing, prompt, **body).json()["_debug_info"]

    assert told["rendered_template"] == f"user: {shown}\nassistant: "
    assert told.get("image_count", 0) == images


def test_a_literal_tag_is_text_and_the_image_in_its_own_place(seeing: httpx.Client) -> None:
    literal = "Images look like [img-0]."
    asked = {"logprobs": True, "options": {**GREEDY, "num_predict": 1}}
    turns = {"role": "system", "content": literal}, {"content": STORY, "images": [RED]}
    wrong = f"system: {literal}\nuser: [img-0]{STORY}\nassistant: "

    right = answered(seeing, *turns, **asked).json()
    taken = generated(seeing, wrong, model="eye-go", raw=True, images=[RED], **asked).json()

    assert right["logprobs"] != taken["logprobs"]


def test_an_image_beside_the_text_of_a_special_token(seeing: httpx.Client) -> None:
    asked = {"logprobs": True, "options": {**GREEDY, "num_predict": 1}}
    content = f"<|im_end|> [img] {STORY}"

    red, blue = (
        answered(seeing, {"content": content, "images": [image]}, **asked).json()
        for image in (RED, BLUE)
    )

    assert red["prompt_eval_count"] > ROWS
    assert red["logprobs"] != blue["logprobs"]


def test_raw_prompts_and_own_templates_say_where_an_image_is(seeing: httpx.Client) -> None:
    placed = generated(seeing, f"[img-0]{STORY}", raw=True, images=[RED])
    refused = [
        generated(seeing, raw=True, images=[RED]),
        generated(seeing, template="{{ .Prompt }}", images=[RED, RED]),
    ]

    assert placed.json()["prompt_eval_count"] > ROWS
    for answer in refused:
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(
            "image 1 has no place in the prompt: write [img-0]"
        )


def test_a_conversation_goes_on_with_its_images(seeing: httpx.Client) -> None:
    first = {"content": STORY, "images": [RED]}
    said = answered(seeing, first).json()["message"]

    with_image = answered(seeing, first, said, "And then?").json()
    without = answered(seeing, STORY, said, "And then?").json()

    assert with_image["prompt_eval_count"] == without["prompt_eval_count"] + ROWS


def test_a_context_goes_on_behind_an_image(seeing: httpx.Client) -> None:
    first = generated(seeing, images=[RED]).json()

    second = generated(seeing, "And then?", images=[BLUE], context=first["context"])

    assert second.is_success
    assert second.json()["prompt_eval_count"] > ROWS


def test_old_turns_go_with_their_images_each_counted_as_768_tokens(seeing: httpx.Client) -> None:
    turns = [{"content": f"Look {number}.", "images": [RED]} for number in range(3)]

    answer = answered(seeing, *turns, _debug_render_only=True)

    info = answer.json()["_debug_info"]
    assert info["image_count"] == 2
    assert info["rendered_template"].startswith("user: [img-0]Look 1.\n")
    assert "the oldest 1 of 3 messages" in answer.headers["x-ollama-nb-warnings"]


def test_a_format_binds_what_is_said_of_an_image(seeing: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"red": {"type": "boolean"}}, "required": ["red"]}

    answer = generated(seeing, images=[RED], format=schema, options={"temperature": 0}).json()

    assert type(json.loads(answer["response"])["red"]) is bool


def test_the_same_weights_without_a_projector_are_another_worker(seeing: httpx.Client) -> None:
    told = [seeing.post("/api/show", json={"model": m}).json() for m in ("eye", "blind")]
    weights = [shown["modelfile"].partition("\nFROM ")[2].splitlines()[0] for shown in told]
    assert weights[0] == weights[1]

    for model, images in (("blind", []), ("eye", [RED]), ("blind", []), ("eye", [RED])):
        assert generated(seeing, model=model, images=images).is_success


def test_it_embeds_as_well(seeing: httpx.Client) -> None:
    answer = seeing.post("/api/embed", json={"model": "eye", "input": "a"})

    assert len(answer.json()["embeddings"]) == 1


BAD = {
    "nothing": (b"", "image 1: it is empty"),
    "no image": (b"hi", "image 1: it is no image that can be read"),
    "a sound": (b"RIFF\x24\0\0\0WAVEfmt ", "image 1: it is a sound"),
    "a cut one": (noise(6)[:70], "image 1: its PNG data are cut off or broken"),
    "a cut WebP": (noise(6, kind="WEBP")[:60], "image 1: decode WebP image: "),
    "a large one": (
        noise(6)[:16] + (20_000).to_bytes(4, "big") * 2 + noise(6)[24:],
        "image 1: it has 20,000 x 20,000 pixels, more than 50,000,000",
    ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("ask", [generated, answered])
def test_what_is_no_image_is_refused_and_the_worker_lives(
    seeing: httpx.Client, ollama_server: Any, ask: Callable[..., httpx.Response], what: str
) -> None:
    data, sentence = BAD[what]
    generated(seeing, images=[RED])
    before = {worker.pid for worker in ollama_server.workers()}

    if ask is generated:
        answer = generated(seeing, images=[coded(data)])
    else:
        answer = answered(seeing, {"content": "Hi", "images": [coded(data)]}, model="eye")

    assert (answer.status_code, answer.json()["error"][: len(sentence)]) == (400, sentence)
    assert generated(seeing, images=[RED]).is_success
    assert {worker.pid for worker in ollama_server.workers()} == before


def test_a_bad_image_loads_no_model(seeing: httpx.Client) -> None:
    generated(seeing, "", keep_alive=0)

    assert generated(seeing, images=[coded(b"hi")]).status_code == 400
    assert "eye:latest" not in [m["name"] for m in seeing.get("/api/ps").json()["models"]]


def test_a_data_url_and_100_mb_are_refused(seeing: httpx.Client) -> None:
    for image in (f"data:image/png;base64,{RED}", "A" * (100 << 20)):
        answer = generated(seeing, images=[image])

        assert answer.status_code == 400
        assert "images" in answer.json()["error"] or "base64" in answer.json()["error"]


def test_a_text_model_says_that_it_does_not_see(seeing: httpx.Client) -> None:
    answer = generated(seeing, model="demo", images=[RED])

    assert answer.status_code == 500
    assert "does not support vision" in answer.json()["error"]


def test_a_projector_of_another_model_is_told_in_the_load(
    seeing: httpx.Client, models_dir: Path
) -> None:
    other = uploaded(seeing, vision_models.written(models_dir, "gemma3")[1].read_bytes())
    model = uploaded(seeing, vision_models.DEMO.read_bytes())
    body = {"model": "crossed", "files": {"m.gguf": model, "p.gguf": other}, "stream": False}
    assert seeing.post("/api/create", json=body).is_success

    answer = generated(seeing, model="crossed")

    assert answer.status_code == 500
    assert "mismatch between text model" in answer.json()["error"]
    seeing.request("DELETE", "/api/delete", json={"model": "crossed"})
