"""Cutting and blending: tiles that nothing changed give the picture back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from odpiece.codec.one_d_piece.tiles import CUT_BATCH, cut, join
from odpiece.formats.tiles import TILE, Layout


@settings(max_examples=25)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 128))
def test_cut_pictures_are_joined_exactly(height, width, overlap):
    picture = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    layout = Layout(overlap)
    batches = list(cut(picture, layout))
    assert max(map(len, batches)) <= CUT_BATCH
    tiles = np.concatenate(batches)
    assert tiles.shape == (layout.count(height) * layout.count(width), TILE, TILE, 3)
    assert (join(tiles.__getitem__, layout, height, width) == picture).all()


def test_seams_become_ramps():
    """Two tiles, black and white, side by side: grey rises evenly over what they share, and nowhere else."""
    tiles = np.zeros((2, TILE, TILE, 3), np.uint8)
    tiles[1] = 255
    line = join(tiles.__getitem__, Layout(32), TILE, 480)[100, :, 0].astype(int)
    assert (line[:224] == 0).all() and (line[256:] == 255).all()
    steps = np.diff(line[223:257])
    assert steps.min() >= 3 and steps.max() <= 9


def test_without_overlap_tiles_are_kept_apart():
    tiles = np.zeros((2, TILE, TILE, 3), np.uint8)
    tiles[1] = 255
    picture = join(tiles.__getitem__, Layout(0), TILE, 2 * TILE)
    assert (picture[:, :TILE] == 0).all() and (picture[:, TILE:] == 255).all()


@pytest.mark.parametrize("height, width", [(256, 256), (100, 700), (1, 1)])
def test_a_whole_picture_is_resized_to_one_tile(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    (tile,) = cut(picture, Layout())
    want = Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS)
    assert (tile[0] == np.asarray(want)).all()
    back = join(tile.__getitem__, Layout(), height, width)
    assert back.shape == picture.shape and ((back == picture).all() or (height, width) == (100, 700))
