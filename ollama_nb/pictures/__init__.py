"""Pictures that a model is sent: made of what a notebook has, displayed small."""

from ollama_nb.pictures.picture import Picture, picture_of, pictures_of

__all__ = ["Picture", "picture_of", "pictures_of"]
