"""Tokens that are expected and computed along: by what repeats, by a small model."""
