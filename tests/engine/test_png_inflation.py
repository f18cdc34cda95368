"""PNG files whose data become far more than their pixels are refused before a decoder sees them."""

import pytest
from ollama_nb_server.engine.errors import ImageRefused
from ollama_nb_server.engine.images import png_inflation
from ollama_nb_server.engine.images.header import checked_header
from ollama_nb_server.engine.images.png_inflation import check_inflation
from vision_models import noise, png_bomb


def test_a_small_file_that_becomes_large_is_refused():
    data = png_bomb(300 << 20)

    assert len(data) < 1 << 20
    with pytest.raises(ImageRefused, match="more than its pixels can be"):
        check_inflation(data, checked_header(data, 1), 1)


@pytest.mark.parametrize("more", [{}, {"width": 150, "height": 1}, {"width": 1, "height": 150}])
def test_images_are_not(monkeypatch, more):
    monkeypatch.setattr(png_inflation, "HARMLESS_BYTES", 0)
    data = noise(1, **more)

    check_inflation(data, checked_header(data, 1), 1)
    check_inflation(data[: len(data) // 2], checked_header(data, 1), 1)
