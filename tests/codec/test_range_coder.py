"""The range coder: round trips, sizes against the ideal code length, tails, carries, garbage."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from odpiece.codec.range_coder import Cut, CutReader, Reader, WholeReader, Writer, bits, row_total, spent_bits
from odpiece.formats.errors import DamagedError

TOTAL = 1 << 24


def random_table(rng, rows, symbols, concentration=0.3):
    """uint32 (rows, symbols) with rows of the sum that the coder needs; many symbols get weight 0."""
    table = np.floor(rng.dirichlet(np.full(symbols, concentration), rows) * (TOTAL - symbols)).astype(np.int64)
    table[:, -1] += TOTAL - symbols - table.sum(axis=1)
    return table.astype(np.uint32)


def draw(rng, table, rows):
    """Symbols drawn from the table's own distribution."""
    return np.array([rng.choice(table.shape[1], p=(table[r] + 1.0) / TOTAL) for r in rows], dtype=np.int32)


def written(table, rows, symbols):
    writer = Writer()
    writer.symbols(table, rows, symbols)
    return writer.to_bytes()


def decoded(payload, table, rows):
    """The symbols, or None for a payload that no writer writes."""
    try:
        return Reader(payload).symbols(table, rows, None)
    except DamagedError:
        return None


def is_whole(payload, table, rows, symbols):
    """Whether a payload decodes to the symbols and has no bytes too many."""
    reader = WholeReader(payload)
    try:
        found = reader.symbols(table, rows, None)
        reader.check_end()
    except DamagedError:
        return False
    return np.array_equal(found, symbols)


def assert_shortest(payload, table, rows, symbols):
    """It decodes, with or without zeros after it, and without its last byte it does not."""
    np.testing.assert_array_equal(decoded(payload, table, rows), symbols)
    np.testing.assert_array_equal(decoded(payload + bytes(9), table, rows), symbols)
    assert not payload or not np.array_equal(decoded(payload[:-1], table, rows), symbols)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 64), st.integers(0, 60), st.booleans())
def test_round_trip_under_mixed_rows(seed, row_count, symbol_count, count, likely):
    rng = np.random.default_rng(seed)
    table = random_table(rng, row_count, symbol_count)
    rows = rng.integers(row_count, size=count)
    symbols = draw(rng, table, rows) if likely else rng.integers(symbol_count, size=count).astype(np.int32)
    payload = written(table, rows, symbols)
    assert_shortest(payload, table, rows, symbols)
    ideal = sum(-np.log2((int(table[r, s]) + 1) / TOTAL) for r, s in zip(rows, symbols))
    assert len(payload) <= ideal / 8 + 2
    assert is_whole(payload, table, rows, symbols)
    for more in (b"\0", b"\x80", b"\xff" * 9):  # which may change the symbols instead
        assert not is_whole(payload + more, table, rows, symbols)


@given(st.lists(st.tuples(st.integers(1, 1 << 16), st.integers(0, 2**32 - 1), st.integers(0, 9)), max_size=12))
def test_round_trip_of_uniform_values(parts):
    values = [np.random.default_rng(seed).integers(size, size=n).astype(np.int32) for size, seed, n in parts]
    writer = Writer()
    for (size, _, n), v in zip(parts, values):
        np.testing.assert_array_equal(writer.uniform(size, v, n), v)
    reader = Reader(writer.to_bytes())
    for (size, _, n), v in zip(parts, values):
        np.testing.assert_array_equal(reader.uniform(size, None, n), v)


def test_spent_bits_are_the_code_lengths():
    table = random_table(np.random.default_rng(3), 5, 64)
    rows, symbols = np.arange(5).repeat(64), np.tile(np.arange(64), 5)
    assert spent_bits(table, rows, symbols) == pytest.approx(bits(table).sum(), rel=1e-6)
    likely = np.array([[TOTAL - 64, 1] + [1] * 62], dtype=np.uint32)
    assert spent_bits(likely, np.zeros(9, int), np.zeros(9, int)) == pytest.approx(9 * bits(likely)[0, 0], rel=1e-6)


def test_writer_gives_the_symbols_back():
    table = random_table(np.random.default_rng(0), 3, 8)
    rows, symbols = np.array([2, 0, 1, 0, 2]), np.array([7, 1, 3, 0, 2], dtype=np.int32)
    np.testing.assert_array_equal(Writer().symbols(table, rows, symbols), symbols)


def test_symbols_are_coded_row_by_row_each_in_order():
    """One call for all is the same as a call for each symbol, in the documented order."""
    rng = np.random.default_rng(6)
    table = random_table(rng, 3, 8)
    rows = rng.integers(3, size=500)
    symbols = draw(rng, table, rows)
    writer = Writer()
    for row in range(3):
        for at in range(500):
            if rows[at] == row:
                writer.symbols(table, rows[at : at + 1], symbols[at : at + 1])
    assert written(table, rows, symbols) == writer.to_bytes()


def test_symbols_and_uniform_interleave():
    table = random_table(np.random.default_rng(1), 2, 16)
    rows, symbols = np.array([1, 0, 1]), np.array([5, 15, 0], dtype=np.int32)
    values = np.array([999, 0, 123], dtype=np.int32)
    writer = Writer()
    for _ in range(3):
        writer.symbols(table, rows, symbols)
        writer.uniform(1000, values, 3)
    reader = Reader(writer.to_bytes())
    for _ in range(3):
        np.testing.assert_array_equal(reader.symbols(table, rows, None), symbols)
        np.testing.assert_array_equal(reader.uniform(1000, None, 3), values)


def test_nothing_written_is_an_empty_payload():
    table = random_table(np.random.default_rng(0), 1, 4)
    nothing = np.zeros(0, dtype=np.int32)
    writer = Writer()
    assert writer.symbols(table, nothing, nothing).shape == (0,)
    assert writer.uniform(5, nothing, 0).shape == (0,)
    assert writer.to_bytes() == b""
    assert Reader(b"").symbols(table, nothing, None).shape == (0,)


def test_uniform_of_size_one_costs_nothing():
    writer = Writer()
    writer.uniform(1, np.zeros(1000, dtype=np.int32), 1000)
    assert writer.to_bytes() == b""
    np.testing.assert_array_equal(Reader(b"").uniform(1, None, 3), [0, 0, 0])


@pytest.mark.parametrize("size", [2, 3, 1 << 10, 1 << 15, (1 << 15) - 1, 1 << 20])
def test_uniform_costs_the_logarithm_of_its_size(size):
    values = np.random.default_rng(size).integers(size, size=300).astype(np.int32)
    values[:2] = 0, size - 1
    writer = Writer()
    writer.uniform(size, values, len(values))
    payload = writer.to_bytes()
    assert abs(len(payload) - 300 * np.log2(size) / 8) <= 2
    np.testing.assert_array_equal(Reader(payload).uniform(size, None, 300), values)


@pytest.mark.parametrize("concentration", [0.03, 0.3, 3.0])
def test_payload_has_the_size_of_the_cross_entropy(concentration):
    rng = np.random.default_rng(11)
    table = random_table(rng, 7, 64, concentration)
    rows = rng.integers(7, size=2000)
    symbols = draw(rng, table, rows)
    probability = (table.astype(np.float64) + 1) / TOTAL
    ideal = -np.log2(probability[rows, symbols]).sum() / 8
    assert abs(len(written(table, rows, symbols)) - ideal) <= 2


def test_bits_are_code_lengths_of_a_complete_code():
    table = random_table(np.random.default_rng(5), 4, 19)
    assert row_total(19) == TOTAL - 19
    np.testing.assert_allclose((0.5 ** bits(table)).sum(axis=1), 1.0, rtol=1e-12)


BORDERS = {
    "below one half": b"\x7f" + b"\xff" * 40,
    "one half": b"\x80" + bytes(40),
    "below a byte": b"\x12" + b"\xff" * 40,
    "below the second word": bytes(3) + b"\x01" + b"\xff" * 40,
    "below the third word": b"\xaa" * 7 + b"\x0f" + b"\xff" * 40,
}
SKEWED = np.array(
    [[TOTAL - 3, 0, 0], [0, TOTAL - 3, 0], [0, 0, TOTAL - 3], [TOTAL // 2 - 3, 3, TOTAL // 2 - 3]], dtype=np.uint32
)
LEVEL = np.full((1, 64), (TOTAL - 64) // 64, dtype=np.uint32)


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
@pytest.mark.parametrize("table", [SKEWED, LEVEL], ids=["skewed", "level"])
def test_carry(table, border):
    """The symbols are those whose interval holds the border: the carry stays open as long as it can."""
    assert (table.sum(axis=1) == TOTAL - table.shape[1]).all()
    rng = np.random.default_rng(2)
    for count in range(1, 45):
        rows = np.sort(rng.integers(len(table), size=count))
        symbols = decoded(border, table, rows)
        assert symbols is not None
        for last in range(0, table.shape[1], table.shape[1] // 3):  # each resolves the carry one way or the other
            symbols[-1] = last
            assert_shortest(written(table, rows, symbols), table, rows, symbols)


def test_intervals_that_end_at_a_byte_border():
    """Under rows of such probabilities many intervals end exactly where a shorter number would begin."""
    row = [TOTAL // 256, TOTAL - 3 - 2 * (TOTAL // 256), TOTAL // 256]
    table = np.concatenate([SKEWED, np.array([row], dtype=np.uint32)])
    rng = np.random.default_rng(1)
    for _ in range(400):
        count = rng.integers(1, 13)
        rows, symbols = rng.integers(5, size=count), rng.integers(3, size=count).astype(np.int32)
        assert_shortest(written(table, rows, symbols), table, rows, symbols)


@pytest.mark.parametrize("symbol", [0, 1, 2])
def test_runs_of_nearly_impossible_symbols(symbol):
    table = np.array([[TOTAL - 3, 0, 0]], dtype=np.uint32)
    symbols = np.repeat(np.array([symbol, 0], dtype=np.int32), [50, 200])
    rows = np.zeros(250, dtype=int)
    payload = written(table, rows, symbols)
    assert_shortest(payload, table, rows, symbols)
    assert len(payload) <= 50 * 3 * (symbol > 0) + 2


def test_cut_reader_gives_what_is_certain():
    """Every cut: what it calls known is right, grows with the bytes, and is all but the last few bits of them."""
    rng = np.random.default_rng(8)
    table = random_table(rng, 4, 32)
    rows = rng.integers(4, size=120)
    symbols = draw(rng, table, rows)
    payload, cost = written(table, rows, symbols), bits(table)[rows, symbols]
    before = np.zeros(120, dtype=bool)
    for end in range(len(payload)):
        with pytest.raises(Cut) as cut:
            CutReader(payload[:end]).symbols(table, rows, None)
        known = cut.value.known
        np.testing.assert_array_equal(cut.value.symbols[known], symbols[known])
        assert not (before & ~known).any()
        assert cost[known].sum() > 8 * end - 40
        in_order = known[np.argsort(rows, kind="stable")]
        assert (np.diff(in_order.astype(int)) <= 0).all()  # the first in coding order
        before = known


def test_cut_reader_reads_a_whole_stream():
    table = random_table(np.random.default_rng(3), 2, 16)
    rows, symbols = np.array([1, 0, 1]), np.array([5, 15, 0], dtype=np.int32)
    values = np.array([999, 0, 123], dtype=np.int32)
    writer = Writer()
    writer.symbols(table, rows, symbols)
    writer.uniform(1000, values, 3)
    reader = CutReader(writer.to_bytes() + bytes(12))
    np.testing.assert_array_equal(reader.symbols(table, rows, None), symbols)
    np.testing.assert_array_equal(reader.uniform(1000, None, 3), values)
    with pytest.raises(Cut) as cut:
        reader.uniform(1 << 20, None, 30)
    assert not cut.value.known.all() and len(cut.value.symbols) == 30


@given(st.binary(max_size=80), st.integers(0, 2**32 - 1))
def test_any_bytes_decode_or_are_damaged(payload, seed):
    rng = np.random.default_rng(seed)
    table = random_table(rng, 3, 16)
    reader = Reader(payload)
    try:
        symbols = reader.symbols(table, rng.integers(3, size=100), None)
        values = reader.uniform(1000, None, 50)
    except DamagedError:
        return
    assert symbols.dtype == np.int32 and 0 <= symbols.min() and symbols.max() < 16
    assert 0 <= values.min() and values.max() < 1000


def test_a_point_beyond_the_last_interval_is_damaged():
    with pytest.raises(DamagedError):
        Reader(b"\xff" * 16).symbols(LEVEL, np.zeros(4, dtype=int), None)
