"""Numbers as text."""

from pipeline.report.text import duration, signed, typeset


def test_words() -> None:
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0.0, None, float("nan"))] == (
        ["+1.23", "-0.50", "0.00", "0.00", "–", "–"]
    )
    assert typeset("real-gan -0.50 to +1.20 points, 95 %") == "real-gan −0.50 to +1.20\u00a0points, 95\u00a0%"
    assert [duration(seconds) for seconds in (4.21, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 5 min"]
