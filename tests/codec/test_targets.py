"""Targets: never above a size and close to it, never below a PSNR and no better than needed, in few trials."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from odpiece.codec import decode, encode, targets
from odpiece.codec.bands.picture import BandsPicture
from odpiece.codec.comparison.goals import encode_to_ms_ssim, encode_to_st_lpips
from odpiece.codec.files import read
from odpiece.codec.targets import PSNR, encode_to_bpp, encode_to_psnr, encode_to_size, psnr
from odpiece.formats.container import CoderId
from odpiece.formats.errors import OptionError

MOST_TRIALS = targets.TRIALS + 1  # and one at the end of the range where none fits


@pytest.fixture
def trials(monkeypatch):
    """The list of (q, slope) of all calls of BandsPicture.encode."""
    made, encode_once = [], BandsPicture.encode

    def counted(self, q, *, slope=1.0, **options):
        made.append((q, slope))
        return encode_once(self, q, slope=slope, **options)

    monkeypatch.setattr(BandsPicture, "encode", counted)
    return made


def test_psnr_is_that_of_the_definition():
    a, b = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8)
    assert psnr(a, b) == pytest.approx(20 * np.log10(5))
    assert psnr(a, a) == float("inf")


def test_what_is_reached_has_a_unit_and_is_rounded_to_the_worse():
    assert targets.PSNR.reached(29.3499) == "29.34 dB"
    assert targets.MS_SSIM.reached(0.98769) == "an MS-SSIM of 0.9876"
    assert targets.ST_LPIPS.reached(-0.12341) == "an ST-LPIPS of 0.1235"


@pytest.mark.parametrize("size", [60, 100, 300, 1000, 1300])
def test_the_file_is_never_above_the_size_and_close_to_it(example, size, trials):
    data = encode_to_size(example, size, effort=0)
    assert size - max(2, 0.03 * size) <= len(data) <= size
    assert len(trials) <= MOST_TRIALS
    assert all(1 <= q <= 4096 and slope > 0.999 for q, slope in trials)
    assert decode(data).shape == example.shape


def test_most_sizes_take_few_trials(example, trials):
    for size in (120, 220, 400, 900, 1400):
        encode_to_size(example, size, effort=0)
    assert len(trials) <= 33


def test_effort_makes_a_better_file_of_the_same_size(example):
    files = [encode_to_size(example, 400, effort=effort) for effort in (0, 4)]
    assert all(388 <= len(data) <= 400 for data in files)
    plain, better = (psnr(example, decode(data)) for data in files)
    assert better > plain


def test_the_default_effort_is_that_of_encode(photo):
    assert encode_to_size(photo[:64, :64], 10**6) == encode(photo[:64, :64], 4096)


@pytest.mark.parametrize("size", [20_000, 50_000, 10**6])
def test_a_huge_size_gives_the_best_quality_at_once(example, size, trials):
    data = encode_to_size(example[:128, :128], size, effort=0)
    assert 1 <= len(trials) <= 3
    assert data == encode(example[:128, :128], 4096, effort=0)


def test_a_size_below_the_smallest_file_is_an_error(photo):
    with pytest.raises(OptionError, match="smallest file") as caught:
        encode_to_size(photo, 5, effort=0)
    smallest = int(re.search(r"has (\d+) bytes", str(caught.value))[1])
    assert len(encode_to_size(photo, smallest, effort=0)) == smallest
    with pytest.raises(OptionError, match=f" {smallest} "):
        encode_to_size(photo, smallest - 1, effort=0)


@pytest.mark.parametrize("bits", [1e-9, 0.001])
def test_less_than_a_byte_names_the_smallest_file(bits, photo):
    with pytest.raises(OptionError, match="smallest file"):
        encode_to_bpp(photo, bits, effort=0)


@pytest.mark.parametrize("target", [1e300, 10**400], ids=["a float", "a whole number"])
def test_an_absurd_size_is_the_best_quality(target, photo):
    pixels = photo[:64, :64]
    best = encode(pixels, 4096, effort=0)
    assert encode_to_size(pixels, target, effort=0) == best
    if isinstance(target, float):
        assert encode_to_bpp(pixels, target, effort=0) == best


@pytest.mark.parametrize("target", [np.nan, np.inf, -np.inf, "300", None], ids=str)
@pytest.mark.parametrize("to", [encode_to_size, encode_to_bpp, encode_to_psnr, encode_to_ms_ssim, encode_to_st_lpips])
def test_targets_that_are_no_numbers(to, target, photo):
    pytest.importorskip("pytorch_msssim")
    with pytest.raises(OptionError):
        to(photo, target)


@pytest.mark.parametrize("to", [encode_to_size, encode_to_bpp])
@pytest.mark.parametrize("target", [0, -5, -0.5, np.float32(0)])
def test_nothing_is_no_size(to, target, photo):
    with pytest.raises(OptionError, match="give a number"):
        to(photo, target)


@pytest.mark.parametrize("decibels", [18.0, 22.5, 27.0])
def test_the_psnr_is_reached_and_hardly_passed(example, decibels, trials):
    data = encode_to_psnr(example, decibels, effort=0)
    assert decibels <= psnr(example, decode(data)) <= decibels + 0.1
    assert len(trials) <= MOST_TRIALS


def test_a_psnr_below_all_gives_the_smallest_file(photo, trials):
    data = encode_to_psnr(photo, 3.0, effort=0)
    assert len(trials) <= 3
    with pytest.raises(OptionError, match=f" {len(data)} bytes"):
        encode_to_size(photo, 5, effort=0)


def test_a_psnr_out_of_reach_is_an_error(example):
    pixels = example[:64, :64]
    best = psnr(pixels, decode(encode(pixels, 4096, effort=0)))
    with pytest.raises(OptionError, match=f" {PSNR.reached(best)} "):
        encode_to_psnr(pixels, 90.0, effort=0)


def test_options_are_those_of_encode(photo):
    data = encode_to_size(photo, 400, coder=CoderId.STATIC, effort=0)
    assert read(data).header.coder == CoderId.STATIC
    with pytest.raises(OptionError):
        encode_to_size(photo, 400, coder=7)
    with pytest.raises(OptionError):
        encode_to_psnr(photo, 20.0, effort=10)


@dataclass(frozen=True)
class Law:
    """How the files of a made-up picture grow: bytes at q = 1, with q, jumps from q to q, bytes of the header."""

    first: float
    growth: float
    jumps: float = 0.0
    header: int = 14

    def size(self, q, slope):
        """Between two q the size goes on as along log(q), as a bit's price rises."""
        position = np.log(q) - np.log(slope) / targets.STEEPNESS
        jump = self.jumps * np.sin(37.0 * q)
        return self.header + round(self.first * np.exp(self.growth * position + jump))


LAWS = {
    "typical": Law(16, 0.62),
    "a sky": Law(0.5, 0.3),
    "a wood": Law(200, 0.9),
    "noise": Law(900, 1.3),
    "in jumps": Law(30, 0.6, jumps=0.02),
    "in wild jumps": Law(30, 0.6, jumps=0.3),
    "always the same": Law(0, 0.0, header=21),
}


@pytest.fixture
def made_up(monkeypatch):
    """A function: makes all pictures obey a Law, and gives the list of the sizes of all their files."""

    def obey(law):
        sizes = []

        class Picture:
            pixels = np.zeros((256, 256, 3), dtype=np.uint8)
            highest, scales = 4096, (1,)

            def __init__(self, pixels):
                pass

            def at(self, scale):
                return self

            def best(self, q):
                return 1

            def encode(self, q, *, effort, slope):
                sizes.append(law.size(q, slope))
                return bytes(sizes[-1])

        monkeypatch.setattr(targets, "scaled", Picture)
        return sizes

    return obey


@pytest.mark.parametrize("size", [25, 40, 60, 300, 1000, 20_000, 10**6])
@pytest.mark.parametrize("name", LAWS)
def test_all_laws_of_growth(name, size, made_up):
    """The oracle knows the smallest and the largest file."""
    law = LAWS[name]
    smallest, largest = law.size(1, 4.0), law.size(4096, 1.0)
    sizes = made_up(law)
    try:
        data = encode_to_size(None, size)
    except OptionError as error:
        assert size < smallest and f" {smallest} bytes" in str(error)
        return
    assert len(data) <= size and len(sizes) <= MOST_TRIALS
    assert len(data) == max(n for n in sizes if n <= size)
    if not law.jumps:
        assert len(data) >= min(size - max(2, 0.03 * size), largest)
    if size > 2 * largest and not law.jumps:
        assert len(data) == largest
