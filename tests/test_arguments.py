import pytest

from tuneful.arguments import seconds_of
from tuneful.errors import StudyError


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (None, None),
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        (" 20 m ", 1200.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        (float("inf"), float("inf")),
    ],
)
def test_a_timeout_is_seconds_or_a_text(timeout, seconds):
    assert seconds_of(timeout) == seconds


@pytest.mark.parametrize("timeout", ["", "s", "1 week", "1h30m", "-1s", ".", "1..5s", 0, -5, False, (), b"5s"])
def test_other_timeouts_are_refused(timeout):
    with pytest.raises(StudyError, match="timeout="):
        seconds_of(timeout)
