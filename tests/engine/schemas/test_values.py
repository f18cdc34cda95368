"""Numbers and texts that are read as they were meant, by what people read them with."""

from datetime import date, datetime, time

import pytest
from isoduration import parse_duration

MOST_EXACT = 2**53 - 1


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [
        ({"type": "integer"}, -MOST_EXACT, MOST_EXACT),
        ({"type": "integer", "minimum": 3}, 3, MOST_EXACT),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, 6, MOST_EXACT),
        ({"type": "integer", "maximum": -3}, -MOST_EXACT, -3),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, -(10**18), 10**18),
        ({"type": "integer", "minimum": 2**53 + 1}, 2**53 + 1, 10**18),
        ({"type": "number", "minimum": 0.1, "maximum": 0.3}, 0.1, 0.3),
        ({"type": "number", "exclusiveMinimum": 0}, 5e-324, 10**16),
        ({"type": "number", "minimum": -3.4028234663852886e38}, -(10**18), 10**16),
        ({"minimum": -1.7976931348623157e308, "maximum": 1.797e308}, -(10**18), 10**18),
    ],
    ids=str,
)
def test_numbers_stay_within_what_is_read_exactly(answers, schema, least, most):
    # Draft 4's exclusiveMinimum is no number to a validator of today.
    found = answers({**schema, "exclusiveMinimum": 5} if schema.get("minimum") == 5 else schema)

    assert all(least <= value <= most for value in found)


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("date-time", lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))),
        ("date", date.fromisoformat),
        ("time", lambda text: time.fromisoformat(text.replace("Z", "+00:00"))),
        ("duration", parse_duration),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dates_and_times_are_such_as_parsers_take(answers, name, parse):
    found = answers({"type": "string", "format": name}, count=30)

    assert all(parse(text) is not None for text in found)


@pytest.mark.parametrize(
    "name", ["email", "hostname", "ipv4", "ipv6", "uri", "uuid", "uuid4", "uuid7"]
)
def test_texts_of_a_format_pass_a_validator(answers, name):
    assert answers({"type": "string", "format": name}, count=15)


@pytest.mark.parametrize(
    ("day", "fits"),
    [
        ("2024-02-29", True),
        ("2000-02-29", True),
        ("2023-02-29", False),
        ("1900-02-29", False),
        ("2023-04-31", False),
        ("2023-12-31", True),
        ("0000-01-01", False),
    ],
)
def test_a_month_has_its_days(writes, day, fits):
    assert writes({"type": "string", "format": "date"}, f'"{day}"') is fits


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("date-time", "2024-05-06T07:08:09Z", True),
        ("date-time", "2024-05-06T07:08:09.123456+13:45", True),
        ("date-time", "2024-05-06t07:08:09Z", False),
        ("date-time", "2024-05-06T07:08:60Z", False),
        ("date-time", "2024-05-06T07:08:09.1234567Z", False),
        ("date-time", "2024-05-06T07:08:09", False),
        ("time", "24:00:00Z", False),
        ("duration", "P1Y2M3DT4H5M6S", True),
        ("duration", "P", False),
        ("duration", "P12345D", False),
        ("email", "ada.lovelace+1@example.co.uk", True),
        ("email", "ada@localhost", False),
        ("uri", "https://example.com:8080/a/b?c=d%20e#f", True),
        ("uri", "https://127.0.0.1/", True),
        ("uri", "mailto:ada@example.com", True),
        ("uri", "https://exa mple.com", False),
        ("uuid4", "f47ac10b-58cc-4372-a567-0e02b2c3d479", True),
        ("uuid4", "f47ac10b-58cc-1372-a567-0e02b2c3d479", False),
    ],
)
def test_a_format_has_one_spelling(writes, name, text, fits):
    assert writes({"type": "string", "format": name}, f'"{text}"') is fits


def test_a_format_and_a_pattern_hold_together(writes):
    schema = {"type": "string", "format": "date", "pattern": "^20"}

    assert writes(schema, '"2024-05-06"')
    assert not writes(schema, '"1924-05-06"')


@pytest.mark.parametrize("number", ["6.02e23", "-1.6E-19", "3.14159", "0", "12345"])
def test_a_free_number_can_have_an_exponent(writes, number):
    assert writes({"type": "number"}, number)
