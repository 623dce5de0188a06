"""Envelopes and BD-rates: by hand, and against the package bjontegaard."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odpiece.codec.comparison.curves import bd_rate, envelope, score_at

POINTS = st.lists(st.tuples(st.integers(20, 9000), st.floats(10, 50)), min_size=1, max_size=12)
CURVE = [(100, 20.0), (200, 23.0), (400, 25.0), (900, 30.0)]


def test_envelope_drops_what_is_no_better_at_more_bytes():
    points = [(300, 21.0), (100, 20.0), (200, 22.0), (400, 22.0), (400, 23.0), (100, 19.0)]
    assert envelope(points).tolist() == [[100, 20], [200, 22], [400, 23]]


def test_envelope_of_nothing_is_empty():
    assert envelope([]).shape == envelope([(100, math.nan)]).shape == (0, 2)


@given(POINTS)
def test_envelope_grows_and_nothing_lies_above_it(points):
    curve = envelope(points)
    assert (np.diff(curve, axis=0) > 0).all()
    assert all(score == max(s for b, s in points if b <= size) for size, score in curve)


def test_score_at_is_linear_in_log_bytes():
    assert score_at(CURVE, 200 * math.sqrt(2)) == pytest.approx(24.0)
    assert score_at(CURVE, 5000) == 30.0
    assert math.isnan(score_at(CURVE, 99))


def test_half_the_bytes_are_minus_50_percent():
    assert bd_rate(CURVE, [(size / 2, score) for size, score in CURVE]) == pytest.approx(-50)


def test_bd_rate_needs_scores_in_common():
    assert math.isnan(bd_rate(CURVE, [(50, 10.0), (60, 20.0)]))
    assert math.isnan(bd_rate(CURVE, CURVE[:1]))


def test_a_point_that_is_worse_changes_nothing():
    assert bd_rate([*CURVE, (500, 21.0)], CURVE) == pytest.approx(0)


@given(POINTS, POINTS)
def test_bd_rate_is_that_of_the_other_direction_inverted(a, b):
    there, back = bd_rate(a, b), bd_rate(b, a)
    assert math.isnan(there) == math.isnan(back)
    assert math.isnan(there) or (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_bd_rate_agrees_with_the_package_bjontegaard():
    peer = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (np.cumsum(rng.gamma(1, (100, 1), (n, 2)), axis=0) + (50, 20) for n in rng.integers(2, 12, 2))
        with warnings.catch_warnings(action="ignore"):  # that curves overlap little or not at all
            expected = peer.bd_rate(*a.T, *b.T, method="pchip", require_matching_points=False)
        assert bd_rate(a, b) == pytest.approx(expected, nan_ok=True)
