"""One question a script; each prints a table for people and one JSON line. Figures: README.md."""
