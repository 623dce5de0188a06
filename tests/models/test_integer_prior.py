"""The integer prior that ships, against the float one it is made of, and its exactness."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from odpiece.codec.bands.coders import ESCAPE, SYMBOLS, LearnedCoder, buckets, to_symbols  # noqa: E402
from odpiece.codec.bands.tokens import kept_mask, shorten  # noqa: E402
from odpiece.codec.bands.walk import walk  # noqa: E402
from odpiece.codec.range_coder import Writer  # noqa: E402
from odpiece.models import prior  # noqa: E402
from odpiece.models.interface import BANDS, CODED_USUAL, is_fine, octave_weights  # noqa: E402
from odpiece.models.nets.bands.prior import Prior, squash  # noqa: E402
from odpiece.models.prior import FIRST_WIDE, MEAN_STEPS, SCALES, interpolate, octave_position, shift_of_rows, table_rows  # noqa: E402
from odpiece.models.training.bands.quantized_prior import check_bounds, largest_sum, logistic_table, quantize_prior  # noqa: E402


@pytest.fixture(scope="module")
def latents(random_bands):
    """All bands of a picture of 2x3 pieces, without extreme values."""
    return random_bands(2, 3, seed=1, escapes=0)


def known(q, latents):
    """Those of the latents that are coded at quality `q`."""
    return tuple(z[: band.latents] for z, band in zip(latents, BANDS if is_fine(q) else CODED_USUAL))


def predict_all(integer, q, latents):
    """(rows, centres) of every latent, as a decoder meets them: what is not coded yet is zero."""
    coded = tuple(np.zeros_like(z) for z in latents)
    rows, centres = (tuple(np.full(z.shape, -1) for z in latents) for _ in range(2))
    predictor = integer.predictor(q)
    for i, band in enumerate(BANDS if is_fine(q) else CODED_USUAL):
        phases = band.phase_map(*latents[i].shape[1:])
        for g in range(len(band.groups)):
            members = np.flatnonzero(band.group_of_latent == g)
            for phase in range(band.phases):
                row, centre = predictor.predict(i, g, phase, coded)
                y, x = np.nonzero(phases == phase)
                at = members[:, None], y, x
                rows[i][at], centres[i][at] = row[:, y, x], centre[:, y, x]
                coded[i][at] = latents[i][at]
    return rows, centres


@torch.no_grad()
def float_parameters(net, q, latents):
    """(mean, log scale) of every latent of each band, by the masked network that sees everything at once."""
    octaves, context = torch.tensor(octave_weights(q)).double()[None], None
    chain = net.fine if is_fine(q) else net.usual
    for i, z in enumerate(latents):
        z = torch.tensor(z).double()[None]
        mean, log_scale = chain.bands[i](z, context, octaves)
        yield mean[0].numpy(), log_scale[0].numpy()
        if i + 1 < len(latents):
            seen = squash(z)
            context = chain.refine[i](seen if context is None else torch.cat([seen, context], 1))


@pytest.mark.parametrize("q", [1, 90, 4096])
def test_rows_and_centres_are_the_float_network_s(q, latents, toy_priors):
    """A row is one of 80 log scales (-4 and up by 1/8) for each of 16 offsets (-1/2 and up by 1/16) from the centre."""
    (net, integer), latents = toy_priors, known(q, latents)
    rows, centres = predict_all(integer, q, latents)
    for row, centre, (mean, log_scale) in zip(rows, centres, float_parameters(net, q, latents), strict=True):
        assert (row // 1280 == is_fine(q)).all()
        offset, scale = row % 1280 // 80 / 16 - 0.5, row % 80 / 8 - 4
        assert np.abs(centre + offset - mean).max() < 1 / 32 + 0.05
        assert np.abs(scale - log_scale.clip(-4, 6 - 1 / 8)).max() < 1 / 16 + 0.05


@torch.no_grad()
def test_bits_are_those_of_the_float_network(latents, toy_priors):
    net, integer = toy_priors
    tokens = shorten(latents, np.array([[4096, 512, 128], [48, 2500, 768]]))
    _, groups = walk(Writer(), LearnedCoder(integer), 4096, 2, 3, tokens)
    masks = [torch.tensor(kept_mask(band, tokens.lengths))[None].double() for band in BANDS]
    inputs = [torch.tensor(z).double()[None] for z in tokens.bands]
    bits = net.bits(inputs, masks, torch.tensor(octave_weights(4096)).double()[None])
    for block in (64, 32, 16, 8):  # two bands have blocks of 16
        got = sum(g.bits for g in groups if g.name.startswith(f"{block}."))
        expected = sum(b.sum().item() for b, band in zip(bits, BANDS, strict=True) if band.block == block)
        assert got == pytest.approx(expected, rel=0.02)


def as_integers(array):
    """The array as int64; every number that enters a layer must be whole and far below 2**53."""
    whole = array.astype(np.int64)
    assert (whole == array).all() and np.abs(whole).max(initial=0) <= 1 << 31
    return whole


def integer_mix(weight, grid):
    return np.einsum("oc,chw->ohw", as_integers(weight), as_integers(grid)).astype(np.float64)


def integer_conv3(weight, flat, h, w):
    grid = as_integers(flat[:, : (h + 2) * (w + 2)]).reshape(-1, h + 2, w + 2)
    windows = np.lib.stride_tricks.sliding_window_view(grid, (3, 3), axis=(1, 2))
    return np.einsum("ocyx,chwyx->ohw", as_integers(weight), windows).astype(np.float64)


@pytest.mark.parametrize("q", [77, 3000])
def test_sums_are_those_of_integers(q, random_bands, toy_priors, monkeypatch):
    """All layers in int64, with escapes in the picture: not one row differs."""
    latents = known(q, random_bands(1, 2, seed=3, escapes=0.02))
    rows, centres = predict_all(toy_priors[1], q, latents)
    monkeypatch.setattr(prior, "mix", integer_mix)
    monkeypatch.setattr(prior, "_conv3", integer_conv3)
    exact_rows, exact_centres = predict_all(toy_priors[1], q, latents)
    for a, b in zip(rows + centres, exact_rows + exact_centres, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("q", [*range(1, 18), 90, 91, 200, 511, 512, 513, 1500, 4095, 4096])
def test_octave_position_is_the_logarithm(q):
    assert octave_position(q) == np.floor(64 * np.log2(q) + 1e-9)


def test_interpolation_is_linear_between_octaves():
    table = np.array([[100 * n * n, -7 * n] for n in range(13)], dtype=np.int32)
    for q in (1, 2, 3, 170, 512, 513, 1500, 4096):
        expected = octave_weights(q).astype(np.float64) @ table
        np.testing.assert_allclose(interpolate(table, q), expected, atol=37)  # 2300 / 64, and a floor
    np.testing.assert_array_equal(interpolate(table, 4096), table[12])
    np.testing.assert_array_equal(interpolate(table, 8), table[3])


@pytest.mark.parametrize(
    "mean, log_scale, row, centre",
    [
        (0.0, -4.0, 8 * SCALES, 0),
        (0.0, 0.0, 8 * SCALES + 32, 0),
        (2.25, 0.0, 12 * SCALES + 32, 2),
        (-0.25, 0.0, 4 * SCALES + 32, 0),
        (0.5, -9.0, 0, 1),
        (-0.5, -4.0, 0, 0),
        (-7.0, 99.0, 8 * SCALES + 79, -7),
        (0.49, 0.0, 0 * SCALES + 32, 1),
    ],
)
def test_table_rows_round_to_the_grid(mean, log_scale, row, centre):
    one = 1 << 20
    rows, centres = table_rows(np.array([mean * one]), np.array([log_scale * one]))
    assert (rows.tolist(), centres.tolist()) == ([row], [centre])


def test_squash_table(toy_priors):
    _, integer = toy_priors
    k = np.array([-32767, -1024, -1023, -5, -1, 0, 1, 5, 1023, 32767])
    expected = np.sign(k) * np.rint(256 * np.log1p(np.minimum(np.abs(k), 1023)))
    np.testing.assert_array_equal(integer.squash(k), expected)


def test_logistic_table_is_the_law():
    table = logistic_table(SYMBOLS)
    assert table.shape == (2560, 64) and np.array_equal(table[:1280], table[1280:])
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-9)
    k, offset, scale = np.arange(-31, 32), 5 / 16 - 0.5, np.exp(-4 + 40 / 8)
    expected = np.diff(1 / (1 + np.exp(-(np.append(k - 0.5, 31.5) - offset) / scale)))
    np.testing.assert_allclose(table[5 * SCALES + 40, :63], expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [FIRST_WIDE - 1, FIRST_WIDE, 48, 49, 60, SCALES - 1])
@pytest.mark.parametrize("offset", [0, 5, 8, 15])
def test_symbols_of_wide_laws_stand_for_the_values_that_the_coder_puts_together(offset, scale):
    """Oracle: the law of every single value, summed over those that the coder gives one symbol."""
    row, values = offset * SCALES + scale, np.arange(-9000, 9001)
    edges = (np.append(values - 0.5, 9000.5) - (offset / 16 - 0.5)) / np.exp(-4 + scale / 8)
    single = np.diff(1 / (1 + np.exp(-edges.clip(-500, 500))))
    symbols = to_symbols(buckets(values, np.full(len(values), shift_of_rows()[row]))[0])
    expected = np.bincount(symbols, single, minlength=SYMBOLS)
    np.testing.assert_allclose(logistic_table(SYMBOLS)[row], expected, rtol=1e-6, atol=1e-9)


def test_wide_laws_keep_escapes_rare():
    shifts = shift_of_rows().reshape(2 * MEAN_STEPS, SCALES)
    assert shifts.dtype == np.int64 and (shifts == shifts[0]).all()
    assert not shifts[0, :FIRST_WIDE].any() and set(np.diff(shifts[0, FIRST_WIDE:])) == {0, 1}
    spread = np.exp(-4 + np.arange(SCALES) / 8) / (1 << shifts[0])  # of a law, in symbols
    assert spread.max() < 4 and spread[FIRST_WIDE:].min() > 1.9
    assert logistic_table(SYMBOLS)[:, ESCAPE].max() < 1e-3


def test_quantized_weights_are_masked_integers():
    net = Prior()
    tensors = quantize_prior(net)
    assert {t.dtype.name for n, t in tensors.items() if n.endswith("weight")} == {"int16"}
    for i, band in enumerate(BANDS):
        own = tensors[f"fine.bands.{i}.own.weight"]
        hidden = np.repeat(np.arange(len(band.groups)), len(own) // len(band.groups))
        assert not own[hidden[:, None] <= band.group_of_latent].any()
        assert own[hidden[:, None] > band.group_of_latent].any()


def test_weights_that_do_not_fit_are_refused():
    net = Prior()
    with torch.no_grad():
        net.usual.refine[0][0].weight[0, 0, 0, 0] = 8.1  # 12 binary places in 16 bits
    with pytest.raises(ValueError):
        quantize_prior(net)


def test_bounds_hold_for_the_largest_inputs():
    """The oracle adds the magnitudes of one layer by itself, in exact integers."""
    tensors = quantize_prior(Prior())
    weight = tensors["usual.bands.2.mix.weight"].astype(object)
    assert largest_sum(tensors) >= max(sum(abs(v) for v in row.ravel()) for row in weight) * 2**18
    check_bounds(tensors)
    tensors["usual.bands.2.mix.weight"] = np.full((1, 1 << 17), 32767, dtype=np.int16)
    with pytest.raises(ValueError):
        check_bounds(tensors)
