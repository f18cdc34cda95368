"""Images in prompts: what is read of them, beside whom, and what a cancellation leaves behind.

Three families: rows with places in time, height and width (Qwen2-VL), rows that see each other
(Gemma 3), rows like tokens (LLaVA). The engine runs in the test's own thread, its images on theirs.
"""

import ctypes
import threading
from functools import partial

import llama_cpp as ll
import llama_cpp.mtmd_cpp as mt
import numpy as np
import pytest
from ollama_nb_server.engine.images import encoding as image_encoding
from ollama_nb_server.engine.images import png_inflation
from ollama_nb_server.engine.images.cache import ImageCache
from ollama_nb_server.engine.images.mtmd import Projector
from ollama_nb_server.engine.messages import Failed, ImageSegment, TextSegment
from ollama_nb_server.engine.native import AbortSwitch, generation_context
from serving import Serving
from vision_models import noise, png_bomb

NUM_CTX = 4096
ROWS = {"qwen2vl": 1024, "gemma3": 16, "demo": 64}
RED, BLUE = (ImageSegment(noise(seed)) for seed in (1, 2))
ASKED = TextSegment("Once upon a time there was a")
ONE_FAMILY = pytest.mark.parametrize("seeing", ["gemma3"], indirect=True)
REPRODUCIBLE = {"reproducible": True, "logprobs": 3, "num_predict": 8}


@pytest.fixture(scope="module")
def serving(seeing):
    model, eye = seeing
    wishes = {"num_ctx": NUM_CTX, "prefix_cache_bytes": 0}  # all that is asked is computed
    serving = Serving(model, projector=str(eye), **wishes)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def family(seeing) -> str:
    return next(name for name in ROWS if seeing[0].name.startswith(name))


def told(serving: Serving, *prompts: object, **wishes: object) -> list[object]:
    """The answers to prompts that are asked at once."""
    ids = [serving.ask(prompt, **wishes) for prompt in prompts]
    serving.run()
    return [serving.answers[id] for id in ids]


# --- what is read ---------------------------------------------------------------------------------


def test_an_image_has_an_answer_of_its_own_and_always_the_same(serving):
    red, again, blue, nothing = (
        told(serving, prompt)[0] for prompt in ((RED, ASKED), (RED, ASKED), (BLUE, ASKED), (ASKED,))
    )

    assert red.text == again.text
    assert len({red.text, blue.text, nothing.text}) == 3


def test_two_images_are_read_in_their_order(serving):
    prompts = [(first, TextSegment(" and "), second, ASKED) for first, second in (
        (RED, BLUE), (BLUE, RED), (RED, RED),
    )]  # fmt: skip

    texts = [answer.text for answer in told(serving, *prompts)]

    assert len(set(texts)) == 3


def test_a_prompt_counts_its_texts_and_each_row_of_its_images(serving, family):
    (text,), (once,), (twice,) = (
        told(serving, prompt, num_predict=1)
        for prompt in ((ASKED,), (RED, ASKED), (RED, RED, ASKED))
    )

    around = once.end.prompt_count - text.end.prompt_count
    assert around >= ROWS[family]
    assert twice.end.prompt_count - once.end.prompt_count == around


def test_logits_are_those_of_libmtmd_itself(serving):
    engine = serving.engine
    texts = "Look: ", " Well, what do you see? And then: ", "Once upon a time there was a"
    first, second, third = map(TextSegment, texts)
    expected = by_libmtmd(engine, list(texts), [RED.data, BLUE.data])

    (answer,) = told(serving, (first, RED, second, BLUE, third), num_predict=1, logprobs=5)

    likeliest = np.sort(expected)[::-1][:5]
    told_of = [other.logprob for other in answer.logprobs[0].alternatives]
    assert told_of == pytest.approx(likeliest.tolist(), abs=1e-4)


def by_libmtmd(engine, texts: list[str], images: list[bytes]) -> np.ndarray:
    """Log-probabilities of the first token, computed by llama.cpp's own helper."""
    model, projector = engine.model, engine.images.projector
    context = generation_context(
        model, num_ctx=NUM_CTX, num_parallel=1, num_batch=engine.num_batch, threads=1,
        flash=engine.flash, abort=AbortSwitch(),
    )  # fmt: skip
    text = mt.mtmd_default_marker().join(part.encode() for part in texts)
    asked = mt.mtmd_input_text(text, len(text), True, True)
    buffers = [(ctypes.c_uint8 * len(data)).from_buffer_copy(data) for data in images]
    bitmaps = [
        mt.mtmd_helper_bitmap_init_from_buf(projector.pointer, buffer, len(buffer), False)
        for buffer in buffers
    ]
    chunks, past = mt.mtmd_input_chunks_init(), ll.llama_pos()
    array = (mt.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
    pointer, size = projector.pointer, engine.num_batch
    assert not mt.mtmd_tokenize(pointer, chunks, ctypes.byref(asked), array, len(bitmaps))
    assert not mt.mtmd_helper_eval_chunks(
        pointer, context.pointer, chunks, 0, 0, size, True, ctypes.byref(past)
    )
    logits = context.logits(-1).astype(np.float64)
    mt.mtmd_input_chunks_free(chunks)
    for bitmap in bitmaps:
        mt.mtmd_bitmap_free(bitmap)
    context.close()
    return logits - np.logaddexp.reduce(logits)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("WEBP", {"lossless": True}), ("BMP", {}), ("GIF", {}), ("JPEG", {"quality": 100, "subsampling": 0})],
)  # fmt: skip
def test_every_format_is_read(serving, kind, more):
    image = ImageSegment(noise(1, kind=kind, **more))

    png, other = (
        told(serving, (image, ASKED), num_predict=1, logprobs=0)[0] for image in (RED, image)
    )

    assert other.logprobs[0].logprob == pytest.approx(png.logprobs[0].logprob, abs=0.3)
    if kind in ("WEBP", "BMP"):
        assert other.logprobs == png.logprobs


# --- used again -----------------------------------------------------------------------------------


def test_an_image_that_was_read_is_not_computed_again_and_another_one_is(seeing, serving, family):
    model, eye = seeing
    keeping = Serving(model, projector=str(eye), num_ctx=NUM_CTX)
    shown = [(RED, ASKED), (RED, ASKED), (BLUE, ASKED), (RED, ASKED)]

    answers = [told(keeping, prompt, num_predict=6)[0] for prompt in shown]
    keeping.close()

    fresh = [told(serving, prompt, num_predict=6)[0].text for prompt in shown]
    cached = [answer.end.cached_count for answer in answers]
    assert [answer.text for answer in answers] == fresh
    assert cached[1] == answers[1].end.prompt_count - 1
    assert cached[2] < ROWS[family] < cached[1]
    assert cached[3] in (cached[1], cached[2])  # too few tokens are not worth a copy


# --- beside others --------------------------------------------------------------------------------


def test_texts_and_images_beside_each_other_are_answered_as_alone(serving):
    prompts = [(RED, ASKED), "Once upon a time", (BLUE, ASKED), tuple(range(300, 700))]
    alone = [told(serving, prompt, **REPRODUCIBLE)[0].logprobs for prompt in prompts]

    together = [answer.logprobs for answer in told(serving, *prompts, **REPRODUCIBLE)]

    assert together == alone


def test_an_image_is_computed_in_pieces_unless_its_rows_see_each_other(
    serving, family, monkeypatch
):
    counts, fill = [], serving.engine.runner._rows.fill
    monkeypatch.setattr(
        serving.engine.runner._rows, "fill", lambda *a: (counts.append(len(a[1])), fill(*a))
    )
    monkeypatch.setattr(serving.engine.planner.budget, "room", lambda num_decoding: 64)

    told(serving, "Once upon a time", (RED, ASKED), tuple(range(300, 400)))

    assert sum(counts) == ROWS[family]
    assert len(counts) == 1 if family == "gemma3" else max(counts) <= 64


def test_a_batch_holds_an_image_whose_rows_see_each_other(seeing, family):
    model, eye = seeing
    serving = Serving(model, projector=str(eye), num_ctx=NUM_CTX, num_batch=8)

    (answer,) = told(serving, (RED, ASKED))

    assert answer.end.reason == "length"
    assert serving.engine.num_batch == (16 if family == "gemma3" else 8)
    serving.close()


def test_an_image_that_no_batch_can_hold_is_refused(serving, family, monkeypatch):
    monkeypatch.setattr(serving.engine.images, "_num_batch", 8)

    (answer,) = told(serving, (RED, ASKED))

    refused = isinstance(answer.end, Failed)
    assert refused is (family == "gemma3")
    assert not refused or answer.end.error == "ImageRefused"


# --- interrupted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_others_who_leave_in_the_middle_of_an_image_change_nothing(serving, part):
    prompt = (TextSegment("Look: "), RED, ASKED)
    before = serving.nodes
    (alone,) = told(serving, prompt, **REPRODUCIBLE)
    nodes = serving.nodes - before

    reading = serving.ask(prompt, **REPRODUCIBLE)
    other = serving.ask(tuple(range(300, 800)))
    serving.in_nodes(max(int(part * nodes), 1), partial(serving.cancel, other))
    serving.run()

    assert serving.answers[reading].logprobs == alone.logprobs


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_an_aborted_computation_of_an_image_is_done_again(serving, part):
    prompt, before = (TextSegment("Look: "), RED, ASKED), serving.nodes
    wishes = {**REPRODUCIBLE, "num_predict": 1}
    (alone,) = told(serving, prompt, **wishes)
    nodes = serving.nodes - before

    reading = serving.ask(prompt, **wishes)
    serving.in_nodes(int(part * nodes), serving.engine_abort)
    serving.run()

    assert serving.answers[reading].logprobs == alone.logprobs


def test_a_full_context_ends_an_answer_with_an_image(serving, family):
    (answer,) = told(serving, (RED, ASKED), num_ctx=ROWS[family] + 50, num_predict=500, shift=True)

    assert answer.end.reason == "length"
    assert answer.end.prompt_count + answer.end.eval_count == ROWS[family] + 50


# --- encoding -------------------------------------------------------------------------------------


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """Counts of rows, one for each image that is encoded from now on."""
    counts: list[int] = []
    encode = Projector.encoded

    def counted(self, chunk):
        counts.append(chunk.num_rows)
        return encode(self, chunk)

    monkeypatch.setattr(Projector, "encoded", counted)
    return counts


@ONE_FAMILY
def test_an_image_that_was_shown_before_is_not_encoded_again(serving, encoded):
    image = ImageSegment(noise(3))

    told(serving, (image, ASKED, image), (image, ASKED))
    told(serving, (image, TextSegment("And now?")))

    assert len(encoded) == 1


@ONE_FAMILY
def test_images_that_were_not_shown_for_long_give_way(serving, encoded, monkeypatch):
    three = [ImageSegment(noise(seed)) for seed in (11, 12, 13)]
    told(serving, (three[0], ASKED), num_predict=1)
    size = serving.engine.images._cache.num_bytes // len(serving.engine.images._cache._rows)
    monkeypatch.setattr(serving.engine.images, "_cache", ImageCache(2 * size))
    encoded.clear()

    for shown in (0, 1, 0, 2, 0, 1):  # 1 gives way to 2, and 2 to 1
        told(serving, (three[shown], ASKED), num_predict=1)

    assert len(encoded) == 4
    assert serving.engine.images._cache.num_bytes <= 2 * size


def test_a_prompt_that_is_too_long_is_refused_before_an_image_is_decoded(serving, encoded, family):
    image = ImageSegment(noise(4)[:60])  # it could not be decoded at all

    (answer,) = told(serving, (image, ASKED), num_ctx=ROWS[family])

    assert answer.end.error == "PromptTooLong"
    assert not encoded


class Gate:
    """Holds an encoding until it is opened; `entered` once one waits there."""

    def __init__(self) -> None:
        self.entered, self.opened, self.order = threading.Event(), threading.Event(), []

    def encoded(self, original, projector, chunk):
        self.entered.set()
        assert self.opened.wait(60)
        return original(projector, chunk)


@pytest.fixture
def gate(monkeypatch) -> Gate:
    gate, encode = Gate(), Projector.encoded
    monkeypatch.setattr(Projector, "encoded", lambda *args: gate.encoded(encode, *args))
    yield gate
    gate.opened.set()


@ONE_FAMILY
def test_a_request_that_leaves_while_its_image_is_encoded_is_gone_at_once(serving, gate):
    leaving = serving.ask((ImageSegment(noise(21)), ASKED))
    reading = serving.ask("Once upon a time", num_predict=5)
    serving.at_end(reading, lambda: gate.entered.wait(60) and serving.leave(leaving))

    serving.run()  # ends although the encoding has not

    assert not gate.opened.is_set()
    assert serving.answers[leaving].cancelled
    assert serving.answers[reading].end.reason == "length"


@ONE_FAMILY
def test_texts_are_answered_while_an_image_is_encoded(serving, gate):
    seeing = serving.ask((ImageSegment(noise(22)), ASKED), num_predict=2)
    reading = serving.ask("Once upon a time", num_predict=5)
    serving.at_end(reading, gate.opened.set)

    serving.run()

    assert serving.answers[seeing].end.eval_count == 2


@ONE_FAMILY
def test_requests_take_turns_image_by_image(serving, monkeypatch):
    order, encode = [], image_encoding.ImageEncoder._encoded
    monkeypatch.setattr(
        image_encoding.ImageEncoder,
        "_encoded",
        lambda self, image: (order.append(image.data), encode(self, image))[1],
    )
    many = [ImageSegment(noise(seed)) for seed in (31, 32, 33)]
    one = ImageSegment(noise(34))

    told(serving, (*many, ASKED), (one, ASKED), num_predict=1)

    assert order.index(one.data) < order.index(many[2].data)


@ONE_FAMILY
@pytest.mark.parametrize("cut", [30, 60, 90])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_broken_images_are_refused_and_others_served(serving, kind, cut):
    data = noise(5, kind=kind)
    broken = ImageSegment(data[: len(data) * cut // 100])
    junk = ImageSegment(data[:50] + bytes(range(256)))

    answers = told(serving, (broken, ASKED), (junk, ASKED), (RED, ASKED), num_predict=1)

    ends = [type(answer.end).__name__ for answer in answers]
    assert ends[2] == "Finished"
    assert all(a.end.error == "ImageRefused" for a in answers if isinstance(a.end, Failed))
    assert "Failed" in ends


@ONE_FAMILY
def test_a_png_that_becomes_more_than_its_pixels_is_not_decoded(serving, monkeypatch):
    monkeypatch.setattr(png_inflation, "HARMLESS_BYTES", 0)

    (answer,) = told(serving, (ImageSegment(png_bomb(2 << 20)), ASKED))

    assert answer.end.error == "ImageRefused"
    assert "more than its pixels" in answer.end.args[1]


@ONE_FAMILY
@pytest.mark.parametrize(
    ("seed", "function", "error"),  # an image each: one that is kept would not be encoded
    [(41, "mtmd_tokenize", "ImageRefused"), (42, "mtmd_encode_chunk", "DecodeFailed")],
)
def test_a_native_fault_is_its_own_request_s(serving, monkeypatch, seed, function, error):
    image = ImageSegment(noise(seed))
    with monkeypatch.context() as patch:
        patch.setattr(mt, function, lambda *_: 1)
        (answer,) = told(serving, (image, ASKED))

    assert answer.end.error == error
    assert told(serving, (image, ASKED), num_predict=1)[0].end.eval_count == 1
