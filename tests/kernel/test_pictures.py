"""Pictures: what they are made of, how they are sent, what is shown of them."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import ollama_nb
from ollama_nb.display.screens import OneCell, Terminal
from ollama_nb.errors import BadMessage, NotAPicture
from ollama_nb.magics.pictures import likely_pictures, named_picture
from ollama_nb.pictures import thumbnails
from ollama_nb.pictures.picture import Picture, picture_of, pictures_of


def file_of(kind: str, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, kind)
    return file.getvalue()


PNG = file_of("PNG")
PYPLOT = types.ModuleType("pyplot")
PYPLOT.savefig = lambda file, **_: file.write(PNG)  # of a figure that may be gone
BASE64 = base64.b64encode(PNG).decode()


def opened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


def figure() -> Figure:
    made = Figure(figsize=(2, 1))
    made.add_subplot().plot([1, 2])
    return made


class Shown:
    """What can show itself, as IPython's Image and many libraries' plots do."""

    def __init__(self, png: object = None, jpeg: object = None) -> None:
        self._repr_png_ = lambda: png
        self._repr_jpeg_ = lambda: jpeg


class Grid:
    """As seaborn's: it has the figure."""

    def __init__(self) -> None:
        self.figure = figure()


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (PNG, "image/png"),
        (bytearray(PNG), "image/png"),
        (memoryview(PNG), "image/png"),
        (BASE64, "image/png"),
        (f"data:image/png;base64,{BASE64}", "image/png"),
        (file_of("JPEG"), "image/jpeg"),
        (file_of("GIF"), "image/gif"),
        (file_of("WEBP"), "image/webp"),
        (file_of("BMP"), "image/bmp"),
        (Image.new("RGBA", (3, 2)), "image/png"),
        (Image.new("CMYK", (3, 2)), "image/png"),
        (Image.new("F", (3, 2)), "image/png"),
        (figure(), "image/png"),
        (figure().axes[0], "image/png"),
        (Figure().subfigures(1, 2)[1].add_subplot(), "image/png"),
        (Grid(), "image/png"),
        (Shown(png=PNG), "image/png"),
        (Shown(png=(BASE64, {"width": 3})), "image/png"),
        (Shown(jpeg=file_of("JPEG")), "image/jpeg"),
        (np.zeros((2, 3), np.uint8), "image/png"),
    ],
)
def test_what_a_picture_is_made_of(value, media_type):
    picture = picture_of(value, "it")

    assert (picture.media_type, picture.name) == (media_type, "it")
    assert opened(picture).size > (0, 0)
    assert base64.b64decode(picture) == picture.data


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_is_read_and_names_the_picture(tmp_path, kind):
    path = tmp_path / "a plot.png"
    path.write_bytes(PNG)

    picture = picture_of(kind(path), "it")

    assert (picture.data, picture.name) == (PNG, "a plot.png")


def test_a_path_below_the_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "plot").write_bytes(PNG)

    assert picture_of("~/plot", "it").data == PNG


@pytest.mark.parametrize(
    ("array", "mode", "pixel"),
    [
        (np.full((2, 3), 7, np.uint8), "L", 7),
        (np.full((2, 3), 0.5), "L", 128),
        (np.full((2, 3), 1, np.float16), "L", 255),
        (np.array([[True, False]]), "L", 255),
        (np.full((2, 3, 3), [1, 2, 3], np.uint8), "RGB", (1, 2, 3)),
        (np.full((2, 3, 4), [0, 0.2, 1, 1], np.float32), "RGBA", (0, 51, 255, 255)),
        (np.full((4, 6), 7, np.uint8)[::2, ::2], "L", 7),
        (np.asfortranarray(np.full((2, 3, 3), [1, 2, 3], np.uint8)), "RGB", (1, 2, 3)),
    ],
)
def test_pixels_are_what_they_are_in_the_array(array, mode, pixel):
    image = opened(picture_of(array, "it"))

    assert (image.mode, image.size) == (mode, (array.shape[1], array.shape[0]))
    assert image.getpixel((0, 0)) == pixel


def test_rows_and_columns_are_not_swapped():
    image = opened(picture_of(np.arange(6, dtype=np.uint8).reshape(2, 3), "it"))

    assert list(image.tobytes()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "it is int, which is no picture"),
        (None, "it is NoneType"),
        (PYPLOT, "it is the module pyplot"),
        (Shown(), "it is Shown"),
        (b"", "it is empty"),
        (b"hello", "it begins with b'hello'"),
        ("plot.png", "there is no file 'plot.png' in "),
        ("no base64!", "neither a path nor base64"),
        (base64.b64encode(b"hello").decode(), "it begins with b'hello'"),
        ("data:image/svg+xml,<svg/>", "a data: URL without base64"),
        (np.zeros((2, 3), int), "array of int64; pixels are uint8"),
        (np.zeros((2, 3, 2), np.uint8), "shape (2, 3, 2)"),
        (np.zeros((2, 3, 1), np.uint8), "shape (2, 3, 1)"),
        (np.zeros((0, 3), np.uint8), "shape (0, 3)"),
        (np.zeros(3, np.uint8), "shape (3,)"),
        (np.array([[0, 255.0]]), "floats from 0 to 255; as pixels they go from 0 to 1"),
        (np.array([[0, np.nan]]), "floats from nan to nan"),
    ],
)
def test_what_is_no_picture_is_named_with_what_is_one(value, words):
    with pytest.raises(NotAPicture) as caught:
        picture_of(value, "it")

    assert words in str(caught.value)
    assert "A picture is a path, " in str(caught.value)


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(NotAPicture, match="cannot be read"):
        picture_of(tmp_path, "it")


def test_one_of_many_is_named_by_its_place():
    with pytest.raises(NotAPicture, match=r"^images\[1\] is int"):
        pictures_of([PNG, 3])


def test_a_picture_survives_copies_and_is_text_for_json():
    picture = picture_of(PNG, "plot")

    for copied in (copy.deepcopy(picture), pickle.loads(pickle.dumps(picture))):
        assert (copied, copied.name, copied.data) == (picture, "plot", PNG)
    assert json.loads(json.dumps([picture])) == [BASE64]
    assert picture_of(picture, "other") is picture


def test_a_picture_shows_itself():
    picture = picture_of(PNG, "plot")

    assert picture._repr_mimebundle_() == {
        "image/png": BASE64,
        "text/plain": f"<Picture plot: PNG, {len(PNG)} B>",
    }


def test_generate_and_chat_send_base64(connected):
    ollama_nb.generate("What is it?", images=[PNG, figure()])
    ollama_nb.chat("What is it?", images=PNG)

    generated, chatted = connected.requests
    assert generated["images"][0] == BASE64
    assert len(generated["images"]) == 2
    assert chatted["messages"] == [{"role": "user", "content": "What is it?", "images": [BASE64]}]


def test_without_pictures_there_is_no_field(connected):
    ollama_nb.generate("one")
    ollama_nb.chat("one")

    assert "images" not in connected.requests[0]
    assert "images" not in connected.requests[1]["messages"][0]


def test_a_conversation_keeps_its_pictures(connected):
    talk = ollama_nb.Conversation()

    talk.say("What is it?", images=[PNG])
    talk.say("And what else?")

    assert [m.get("images") for m in connected.requests[-1]["messages"]] == [[BASE64], None, None]


@pytest.mark.parametrize("image", [PNG, BASE64, f"data:image/png;base64,{BASE64}"])
def test_a_message_may_bring_its_own(connected, image):
    ollama_nb.chat([{"role": "user", "content": "What?", "images": [image]}], images=[figure()])

    first, second = connected.requests[-1]["messages"][-1]["images"]
    assert first == BASE64 != second


def test_the_ollama_client_s_messages_are_taken(connected):
    import ollama

    message = ollama.Message(role="user", content="What?", images=[ollama.Image(value=PNG)])
    ollama_nb.chat([message])

    assert connected.requests[-1]["messages"] == [
        {"role": "user", "content": "What?", "images": [BASE64]}
    ]


def test_pictures_need_a_question(connected):
    answered = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]

    with pytest.raises(BadMessage, match="images go with the last message"):
        ollama_nb.chat(answered, images=[PNG])
    assert connected.requests == []


@pytest.mark.parametrize("message", [3, None, ["role", "user"]])
def test_what_is_no_message_is_said(connected, message):
    with pytest.raises(BadMessage, match="a message is a text or"):
        ollama_nb.chat([message])


# --- what is shown --------------------------------------------------------------------------------


def test_a_thumbnail_is_small_and_named():
    picture = picture_of(file_of("PNG", (1200, 600)), "plot")

    shown = thumbnails.bundle(picture)

    assert Image.open(io.BytesIO(base64.b64decode(shown["image/png"]))).size == (320, 160)
    assert shown["text/plain"].startswith("plot: PNG, ")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16"])
def test_every_kind_of_png_has_a_thumbnail(mode):
    shown = thumbnails.bundle(picture_of(file_of("PNG", (400, 10), mode), "it"))

    assert "image/png" in shown


def test_a_photograph_stays_a_jpeg():
    assert "image/jpeg" in thumbnails.bundle(picture_of(file_of("JPEG"), "it"))


def test_what_cannot_be_decoded_is_shown_by_its_name():
    broken = picture_of(PNG[:20], "it")

    assert thumbnails.bundle(broken) == {"text/plain": "it: PNG, 21 B"}


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)

    assert "image/png" not in thumbnails.bundle(picture_of(PNG, "it"))


@pytest.mark.parametrize(("limit", "shown"), [(10_000, True), (10, False)])
def test_without_pillow_only_small_files_are_kept(monkeypatch, limit, shown):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(thumbnails, "MAX_UNSHRUNK_BYTES", limit)

    assert ("image/png" in thumbnails.bundle(picture_of(PNG, "it"))) is shown


def test_a_terminal_names_pictures():
    written: list[str] = []

    Terminal(written.append).show_sent([picture_of(PNG, "plot")])

    assert "".join(written) == f"[plot: PNG, {len(PNG)} B]\n"


def test_each_picture_is_an_output(monkeypatch):
    shown: list[dict[str, object]] = []
    publish = "ollama_nb.display.cell.OneOutput.publish"
    monkeypatch.setattr(publish, lambda _, bundle, __: shown.append(bundle))

    OneCell("demo").show_sent(pictures_of([PNG, PNG]))

    assert [one["text/plain"] for one in shown] == [
        f"images[{n}]: PNG, {len(PNG)} B" for n in (0, 1)
    ]


# --- --image ------------------------------------------------------------------------------------


@pytest.fixture
def variables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plot.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "photo.JPG").write_bytes(file_of("JPEG"))
    return {
        "fig": figure(),
        "images": [PNG, figure()],
        "by_name": {"a": PNG},
        "path": tmp_path / "plot.png",
        "array": np.zeros((2, 2), np.uint8),
        "number": 3,
        "_hidden": figure(),
    }


@pytest.mark.parametrize(
    "word",
    [
        *("fig", "images[0]", "images[-1]", "by_name['a']", "fig.axes[0]", "path", "array"),
        *("plot.png", "./plot.png", "more/photo.JPG", f"data:image/png;base64,{BASE64}"),
    ],
)
def test_image_names_a_variable_or_a_file(variables, word):
    assert opened(named_picture(word, variables)).size > (0, 0)


def test_a_file_is_found_though_a_variable_begins_as_it(variables):
    assert named_picture("plot.png", {**variables, "plot": 3}).data == PNG


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("fgi", "no variable and no file of that name; did you mean fig?"),
        ("nowhere.png", "--image nowhere.png: there is no variable and no file"),
        ("number", "number is int, which is no picture"),
        ("images[7]", "no variable and no file"),
        ("images[0](1)", "no variable and no file"),
        ("notes.txt", "notes.txt begins with b'no pictu'"),
    ],
)
def test_a_word_that_names_no_picture(variables, word, words):
    with pytest.raises(NotAPicture) as caught:
        named_picture(word, variables)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("begun", "proposed"),
    [
        ("", ["fig", "array", "more/", "plot.png"]),
        ("./", ["fig", "array", "./more/", "./plot.png"]),
        ("more/", ["fig", "array", "more/photo.JPG"]),
        ("nowhere/", ["fig", "array"]),
    ],
)
def test_what_image_may_name_is_proposed(variables, begun, proposed):
    assert likely_pictures(begun, variables) == proposed


def test_looking_for_pictures_imports_nothing():
    code = (
        "import sys, ollama_nb.magics.pictures as pictures\n"
        "pictures.likely_pictures('', {'a': 1}); pictures.named_picture(sys.argv[1], {})\n"
        "print([name for name in ('PIL', 'matplotlib', 'numpy') if name in sys.modules])"
    )

    run = subprocess.run(
        [sys.executable, "-c", code, f"data:image/png;base64,{BASE64}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == "[]"
