"""The walk over tokens of tiles: round trips, bits, and what is left of a cut payload."""

import numpy as np
import pytest

from odpiece.codec.one_d_piece.histograms import fit
from odpiece.codec.one_d_piece.tokens import TileTokens, raw_table, walk
from odpiece.codec.range_coder import CutReader, Reader, Writer, to_table

RNG = np.random.default_rng(5)
SKEWED = to_table(RNG.gamma(0.05, 1.0, (256, 4096)) + 1e-6)
TABLES = {"raw": raw_table(), "static": SKEWED}


def draw(tiles, count):
    """Tokens as SKEWED has them."""
    shares = (SKEWED + 1.0) / (SKEWED + 1.0).sum(axis=1, keepdims=True)
    return np.stack([RNG.choice(4096, tiles, p=shares[k]) for k in range(count)], axis=1).astype(np.int32)


def payload_of(ids, table):
    writer = Writer()
    tokens, groups = walk(writer, table, *ids.shape, ids)
    return writer.to_bytes(), tokens, groups


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("tiles, count", [(1, 1), (1, 256), (7, 33)])
def test_tokens_return(table, tiles, count):
    ids = draw(tiles, count)
    payload, tokens, groups = payload_of(ids, TABLES[table])
    got, got_groups = walk(Reader(payload), TABLES[table], tiles, count)
    assert (got.ids == ids).all() and (got.lengths == count).all()
    assert got_groups == groups and got.sha256 == tokens.sha256
    assert sum(g.tokens for g in groups) == ids.size == tokens.count
    bits = sum(g.bits for g in groups)
    assert -2 <= len(payload) - bits / 8 <= 3
    if table == "raw":
        assert bits == 12 * ids.size


def test_the_token_bytes():
    assert TileTokens.of(np.array([[1, 2], [3, 4095]])).to_bytes() == bytes.fromhex("0100 0300 0200 ff0f")


@pytest.mark.parametrize("table", TABLES)
def test_a_cut_payload_keeps_a_prefix_of_every_tile(table):
    ids = draw(5, 20)
    payload, _, _ = payload_of(ids, TABLES[table])
    before = 0
    for length in range(len(payload)):
        tokens, groups = walk(CutReader(payload[:length]), TABLES[table], *ids.shape)
        assert tokens.lengths.max() - tokens.lengths.min() <= 1
        known = np.arange(20) < tokens.lengths[:, None]
        assert (tokens.ids == np.where(known, ids, 0)).all()
        assert tokens.count == sum(g.tokens for g in groups) >= before
        before = tokens.count
    assert before > 0.8 * ids.size


def test_fitted_tables_are_near_the_entropy():
    shares = (SKEWED + 1.0) / (SKEWED + 1.0).sum(axis=1, keepdims=True)
    entropy = -(shares * np.log2(shares)).sum(axis=1).mean()
    rows, expected = fit(draw(600, 256))
    assert rows.dtype == np.uint32 and (rows.sum(axis=1, dtype=np.int64) == 2**24 - 4096).all()
    others = draw(50, 256)
    _, _, groups = payload_of(others, rows)
    bits = sum(g.bits for g in groups) / others.size
    assert entropy - 0.2 < bits < expected + 0.1 < 12


def test_tables_of_level_and_of_constant_tokens():
    _, bits = fit(RNG.integers(0, 4096, (40, 256)))
    assert bits == pytest.approx(12, abs=0.01)
    rows, bits = fit(np.tile(RNG.integers(0, 4096, 256), (10, 1)))
    assert bits < 0.5 and (rows.max(axis=1) > 2**22).all()
