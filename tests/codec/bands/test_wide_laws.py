"""Table rows of wide laws, whose symbols stand for 2^n latents each: borders, order of the bits, cuts, damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odpiece.codec.bands.coders import buckets
from odpiece.codec.bands.quantization import LAMBDA, RateAware
from odpiece.codec.bands.tokens import LENGTHS, shorten
from odpiece.codec.bands.walk import walk
from odpiece.codec.range_coder import CutReader, Reader, Writer, level_table, to_table
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS, Q_OCTAVES, latent_steps, step_size
from odpiece.models.prior import shift_of_rows

SHIFTS = range(8)


class WideCoder:
    """Eight table rows, one of each shift 0..7, for every eighth latent in turn, and centres of either sign."""

    trims = False

    def __init__(self, shifts=SHIFTS, centre=None):
        counts = 1 + 50 * np.exp(-np.abs(np.arange(64) - 31) / np.arange(4, 20, 2)[:, None])
        self.latents = to_table(counts[: len(shifts)])
        self.lengths = level_table(Q_OCTAVES, len(LENGTHS))
        self.shifts, self.centre = np.array(shifts, dtype=np.int64), centre

    def row(self, latent):
        return latent * 5 % len(self.shifts)

    def centre_of(self, latent):
        return latent * 37 % 2001 - 1000 if self.centre is None else self.centre + 0 * latent

    def predictor(self, q, limit, lengths):
        return self

    def predict(self, band, group, phase, bands):
        members = BANDS[band].members(group)[:, None, None]
        return self.row(members), self.centre_of(members)


def one_piece(values, q):
    """Tokens of a piece: `values`, a function of (band, latent), in all blocks."""
    bands = []
    for b, band in enumerate(BANDS):
        column = np.array([values(b, latent) for latent in range(band.latents)], dtype=np.int32)
        bands.append(np.broadcast_to(column[:, None, None], (band.latents, band.side, band.side)))
    return shorten(bands, np.array([[q]]))


def write(tokens, coder, q):
    writer = Writer()
    _, groups = walk(writer, coder, q, *tokens.lengths.shape, tokens)
    return writer.to_bytes(), groups


def wide_tokens(q, seed, escapes=0.05):
    """Tokens whose latents fill the symbols of their rows; some escape."""
    coder, rng = WideCoder(), np.random.default_rng(seed)

    def value(_, latent):
        spread = 6 if rng.random() > escapes else 200
        found = rng.laplace(0, spread) * 2 ** int(coder.shifts[coder.row(latent)]) + coder.centre_of(latent)
        return int(np.clip(found, -32767, 32767))

    return one_piece(value, q)


@given(st.integers(-70_000, 70_000), st.sampled_from(SHIFTS))
def test_buckets_are_the_documented_ones(residual, n):
    """Symbol i stands for the 2^n latents from centre + 2^n (i - 31) - 2^(n - 1) on; for n = 0 for centre + i - 31."""
    number, low = buckets(np.array(residual), np.array(n))
    assert 0 <= low < 2**n
    assert residual == 2**n * number - (2 ** (n - 1) if n else 0) + low


def test_shifts_of_the_learned_coder():
    shifts = shift_of_rows()
    assert shifts.shape == (2560,)
    for row, shift in enumerate(shifts.tolist()):
        s = row % 80
        assert shift == (0 if s < 43 else 1 + 2 * (s - 43) // 11)


@pytest.mark.parametrize("n", SHIFTS)
@pytest.mark.parametrize("centre", [0, -5000, 32767])
def test_values_about_the_borders(n, centre):
    """Of the middle symbol, of its neighbours, of the outermost, of the classes of escapes, and of all latents."""
    coder, half = WideCoder([n], centre), (1 << n) // 2
    numbers = [k for k in (0, 1, 2, 31, 32, 33, 34, 63, 64) for k in (k, -k)]
    values = {centre + (k << n) - half + d for k in numbers for d in (-1, 0, 1)} | {-32767, 32767}
    values = sorted(v for v in values if abs(v) <= 32767)
    tokens = one_piece(lambda b, latent: values[(latent + 48 * b) % len(values)], 64)
    payload, groups = write(tokens, coder, 64)
    got, read_groups = walk(Reader(payload), coder, 64, 1, 1)
    assert got.to_bytes() == tokens.to_bytes()
    assert read_groups == groups
    assert {int(v) for z in got.bands[:2] for v in z.ravel()} >= set(values)


@pytest.mark.parametrize("q", [1, 64, 1025, 4096])
def test_round_trip_of_rows_of_every_shift(q):
    tokens = wide_tokens(q, seed=q)
    payload, groups = write(tokens, WideCoder(), q)
    got, read_groups = walk(Reader(payload), WideCoder(), q, 1, 1)
    assert got.to_bytes() == tokens.to_bytes()
    assert read_groups == groups
    assert abs(len(payload) - sum(g.bits for g in groups) / 8) <= 2


def test_order_is_the_documented_one():
    """Symbol by symbol: those of a phase by row, low bits by shift, then signs, classes and low bits of escapes."""
    coder, tokens, writer = WideCoder(), wide_tokens(16, seed=1, escapes=0.4), Writer()
    writer.symbols(coder.lengths, np.array([4]), np.array([0], dtype=np.int32))

    def plain(size, number):
        writer.uniform(size, np.array([number], dtype=np.int32), 1)

    start = 0
    for ranks in (1, 1, 2, 4, 8):
        coded = []  # (latent, row, number, low bits)
        for latent in range(start, start + 3 * ranks):
            row = latent * 5 % 8  # which is the shift, too
            lifted = int(tokens.bands[0][latent, 0, 0]) - (latent * 37 % 2001 - 1000) + 2**row // 2
            coded.append((latent, row, lifted // 2**row, lifted % 2**row))
        for _, row, number, _ in sorted(coded, key=lambda c: c[1]):
            symbol = number + 31 if abs(number) <= 31 else 63
            writer.symbols(coder.latents, np.array([row]), np.array([symbol], dtype=np.int32))
        for n in range(1, 8):
            for _, row, _, low in coded:
                if row == n:
                    plain(2**n, low)
        escaped = [number for _, _, number, _ in coded if abs(number) > 31]
        for number in escaped:
            plain(2, int(number < 0))
        classes = [(abs(number) - 31).bit_length() - 1 for number in escaped]
        for n in classes:
            plain(17, n)
        for size in range(1, 17):
            for number, n in zip(escaped, classes):
                if n == size:
                    plain(2**n, abs(number) - 31 - 2**n)
        start += 3 * ranks
    assert write(tokens, coder, 16)[0] == writer.to_bytes()
    assert any(tokens.bands[0][:, 0, 0] > 5000), "the case has no wide escapes"


@pytest.mark.parametrize("q, step", [(1, 1), (16, 2), (64, 11), (1100, 311)])
@pytest.mark.parametrize("escapes", [0, 0.3])
def test_of_a_cut_payload_only_certain_latents_are_given(q, step, escapes):
    """Never the first latent of a symbol whose low bits are missing; more bytes never give fewer tokens."""
    tokens, before = wide_tokens(q, seed=q + 1, escapes=escapes), 0
    payload, groups = write(tokens, WideCoder(), q)
    for end in range(0, len(payload), step):
        got, part = walk(CutReader(payload[:end]), WideCoder(), q, 1, 1)
        for z, whole in zip(got.bands, tokens.bands, strict=True):
            assert ((z == whole) | (z == 0)).all(), end
        certain = sum(g.tokens for g in part)
        assert before <= certain <= sum(np.count_nonzero(z) for z in got.bands) / 3 + q / 100 + 1
        before = certain
    got, part = walk(CutReader(payload + bytes(12)), WideCoder(), q, 1, 1)
    assert got.to_bytes() == tokens.to_bytes() and part == groups


def test_a_cut_in_the_low_bits_gives_the_latents_without_any():
    """Of one group, three latents of the shifts 0, 5 and 2: its symbols are certain before its low bits are."""
    coder, tokens = WideCoder(), one_piece(lambda b, latent: 7 - 1000 + latent * 37 + latent * 40, 1)
    payload, _ = write(tokens, coder, 1)
    assert coder.row(np.arange(3)).tolist() == [0, 5, 2]
    seen = set()
    for end in range(len(payload)):
        got = walk(CutReader(payload[:end]), coder, 1, 1, 1)[0]
        seen.add(tuple((got.bands[0][:3, 0, 0] != 0).tolist()))
    assert (True, False, False) in seen
    assert seen <= {(False, False, False), (True, False, False)}


@pytest.mark.parametrize("symbol, low, fits", [(31, 0, True), (31, 63, True), (31, 64, True), (31, 65, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_low_bits_beyond_the_largest_latent_are_damaged(symbol, low, fits, sign):
    """About a centre of +-32767 - 1 the middle symbol of 128 latents begins 64 below it."""
    coder, writer = WideCoder([7], sign * 32766), Writer()
    low = low + 1 if sign > 0 else 127 - low
    writer.symbols(coder.lengths, np.array([0]), np.array([0], dtype=np.int32))
    writer.symbols(coder.latents, np.zeros(3, dtype=int), np.full(3, symbol, dtype=np.int32))
    writer.uniform(128, np.full(3, low, dtype=np.int32), 3)
    if fits:
        tokens, _ = walk(Reader(writer.to_bytes()), coder, 1, 1, 1)
        assert tokens.bands[0][:3, 0, 0].tolist() == [sign * 32766 - 64 + low] * 3
    else:
        with pytest.raises(DamagedError):
            walk(Reader(writer.to_bytes()), coder, 1, 1, 1)


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("cut", [0, 1])
def test_certain_latents_beyond_the_largest_are_damaged(n, cut):
    """Also in a payload that is cut behind them: 31 symbols above a centre of 32767 there is nothing."""
    coder, writer = WideCoder([n], 32767), Writer()
    writer.symbols(coder.lengths, np.array([0]), np.array([0], dtype=np.int32))
    writer.symbols(coder.latents, np.zeros(3, dtype=int), np.array([62, 31, 63 if cut else 31], dtype=np.int32))
    writer.uniform(1 << n, np.zeros(3, dtype=np.int32), 3)
    if cut:
        for size, number in ((2, 1), (17, 16), (1 << 16, 54321)):  # the escape, of which the last byte is missing
            writer.uniform(size, np.array([number], dtype=np.int32), 1)
    payload = writer.to_bytes()
    end = len(payload) - 1 if cut else None
    with pytest.raises(DamagedError):
        walk((CutReader if cut else Reader)(payload[:end]), coder, 1, 1, 1)


@given(payload=st.binary(max_size=300), q=st.sampled_from([1, 20, 400]))
def test_garbage_is_damaged_or_valid_tokens(payload, q):
    try:
        tokens, _ = walk(Reader(payload), WideCoder(), q, 1, 1)
    except DamagedError:
        return
    assert all(np.abs(z).max() <= 32767 for z in tokens.bands)
    assert walk(Reader(write(tokens, WideCoder(), q)[0]), WideCoder(), q, 1, 1)[0].to_bytes() == tokens.to_bytes()


def test_rate_aware_choices_count_the_low_bits():
    """All of 2^n latents cost the same, so within a symbol the nearest is taken; at its border the cheaper symbol."""
    q, coder, rng = 64, WideCoder([4], 0), np.random.default_rng(2)
    scaled = rng.uniform(-300, 300, 48)
    latents = [np.zeros((b.latents, b.side, b.side), dtype=np.float32) for b in BANDS]
    latents[0][:, 0, 0] = scaled * latent_steps(q)[0]
    tokens, _ = walk(Writer(), coder, q, 1, 1, RateAware(latents, q, np.array([[16]]), coder))
    moved = 0
    for value, step, chosen in zip(scaled, latent_steps(q)[0] / step_size(q), tokens.bands[0][:, 0, 0].tolist()):
        prices = {}
        for k in (round(value) - 1, round(value), round(value) + 1):
            p = (int(coder.latents[0, (k + 8) // 16 + 31]) + 1) / 2**24 / 16
            prices[k] = step**2 * (value - k) ** 2 - LAMBDA * np.log2(p)
        assert prices[chosen] <= min(prices.values()) + 1e-3
        moved += chosen != round(value)
    assert moved <= 8
