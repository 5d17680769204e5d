"""Numbers as text."""

from pipeline.report.text import duration, number, signed, typeset


def test_halves_are_rounded_away_from_zero_however_they_were_summed() -> None:
    for value in (96.965, 96.96499999999999, 96.96500000000002):
        assert number(value) == "96.97"
    assert (signed(-0.125), signed(0.005), signed(-0.005), signed(0.0049)) == ("-0.13", "+0.01", "-0.01", "0.00")
    assert (number(1234567.5, 0), number(0.05, 1), number(float("inf"))) == ("1,234,568", "0.1", "inf")


def test_words() -> None:
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0.0, None, float("nan"))] == (
        ["+1.23", "-0.50", "0.00", "0.00", "–", "–"]
    )
    assert typeset("real-gan -0.50 to +1.20 points, 95 %") == "real-gan −0.50 to +1.20\u00a0points, 95\u00a0%"
    assert [duration(seconds) for seconds in (4.21, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 5 min"]
