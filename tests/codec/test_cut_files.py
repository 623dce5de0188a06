"""Cut files, truncation and progress: what can be known is known, and nothing else."""

from functools import cache

import numpy as np
import pytest

from odpiece.codec.bands.tokens import LENGTHS, first_groups
from odpiece.codec.files import decode, encode, read, read_partial, truncate
from odpiece.formats.container import CoderId
from odpiece.formats.errors import DamagedError, NotOdpError, OptionError
from odpiece.models.interface import BANDS


def certain_by_loop(partial, whole):
    """Upper bound: tokens of `partial` whose three latents equal those of `whole`."""
    count = 0
    for band, a, b in zip(BANDS, partial.bands, whole.bands):
        kept = band.token_index[::3]
        equal = (a == b).reshape(band.ranks, 3, *a.shape[1:]).all(axis=1)
        count += int(equal.sum()) if kept.size else 0
    return count


@pytest.fixture(scope="module")
def file_of(photo):
    """A function: the file of two pieces with sky and texture, by a coder at quality q."""
    return cache(lambda coder, q: encode(photo[100:164, :128], q, coder=coder, effort=0))


@pytest.mark.parametrize("coder", CoderId)
@pytest.mark.parametrize("q", [4, 64, 130])
def test_every_cut_gives_only_certain_tokens(file_of, coder, q):
    data = file_of(coder, q)
    whole, before = read(data), 0
    header = len(data) - len(_payload(data))
    for end in range(len(data) + 1):
        if end < header:
            with pytest.raises((DamagedError, NotOdpError)):
                read_partial(data[:end])
            continue
        part = read_partial(data[:end])
        assert part.certain >= before
        before = part.certain
        for a, b in zip(part.tokens.bands, whole.tokens.bands):
            assert ((a == b) | (a == 0)).all()
        assert part.certain <= certain_by_loop(part.tokens, whole.tokens)
    assert before == whole.tokens.count and part.complete


def _payload(data):
    from odpiece.formats.container import unpack

    return unpack(data).segments[0].payload


@pytest.fixture(scope="module")
def usual(photo):
    """The file of the photo at q = 256."""
    return encode(photo, 256)


def test_half_a_file_holds_about_half_of_the_tokens_bits(usual):
    """The certain tokens are not far fewer than the bytes pay for."""
    data = usual
    part = read_partial(data[: len(data) // 2])
    known_bits = sum(group.bits for group in part.groups)
    assert not part.complete
    assert part.certain > 0
    assert known_bits > 0.8 * 8 * (len(data) // 2 - 40) - max(g.bits for g in read(data).groups)


def test_a_longer_part_gives_a_better_picture(photo, usual):
    data, errors = usual, []
    for share in (0.3, 0.6, 1.0):
        part = read_partial(data[: int(len(data) * share)])
        errors.append(np.mean((part.picture(part.tokens).astype(float) - photo) ** 2))
    assert errors[0] > errors[1] > errors[2]


def test_without_permission_a_cut_file_is_an_error(photo):
    data = encode(photo, 64)
    with pytest.raises(DamagedError):
        read(data[: len(data) // 2])


@pytest.mark.parametrize("coder", CoderId)
@pytest.mark.parametrize("q", [1, 64, 300])
@pytest.mark.parametrize("more", [b"\0", b"\x01", b"\xff", b"and more than a word"])
def test_appended_bytes_are_damage(file_of, coder, q, more):
    """Of a file of one segment, whose length stands nowhere. They may change the last tokens, and no others."""
    data = file_of(coder, q)
    with pytest.raises(DamagedError):
        read(data + more)
    part, whole = read_partial(data + more), read(data)
    assert not part.complete
    assert sum(np.count_nonzero(a != b) for a, b in zip(part.tokens.bands, whole.tokens.bands)) < 20


@pytest.mark.parametrize("coder", CoderId)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 50, 64, 65, 199, 200, 1024, 4096])
def test_truncate_keeps_exactly_the_first_tokens(file_of, coder, count):
    data = file_of(coder, 200)
    short = read(truncate(data, count))
    assert short.tokens.to_bytes() == read(data).tokens.first(count).to_bytes()
    assert short.tokens.lengths.max() <= count
    assert short.header.q == 200 and short.header.limit == min(count, 200)


@pytest.fixture(scope="module")
def fine(file_of):
    """{coder: the file at q = 4096}."""
    return {coder: file_of(coder, 4096) for coder in CoderId}


@pytest.mark.parametrize("coder", CoderId)
def test_cuts_of_high_qualities_give_only_certain_tokens(fine, coder):
    data = fine[coder]
    whole, before = read(data), 0
    assert all(z.any() for z in whole.tokens.bands)
    for end in range(len(data) - len(_payload(data)), len(data), len(data) // 6):
        part = read_partial(data[:end])
        assert not part.complete and part.header == whole.header
        assert before <= part.certain <= whole.tokens.count
        before = part.certain
        for a, b in zip(part.tokens.bands, whole.tokens.bands, strict=True):
            assert ((a == b) | (a == 0)).all()
        assert part.certain <= certain_by_loop(part.tokens, whole.tokens)
    assert before > 0.3 * whole.tokens.count
    assert read_partial(data).complete


@pytest.mark.parametrize("coder", CoderId)
@pytest.mark.parametrize("count", [1, 64, 1023, 1024, 1025, 2048, 3001, 4095])
def test_truncate_keeps_the_first_tokens_of_high_qualities(fine, coder, count):
    whole, short = read(fine[coder]), read(truncate(fine[coder], count))
    assert short.tokens.to_bytes() == whole.tokens.first(count).to_bytes()
    assert (short.header.q, short.header.limit) == (4096, count)
    assert short.tokens.lengths.max() == count
    assert (short.tokens.to_array(count) == whole.tokens.to_array(count)).all()


def test_the_first_1024_tokens_of_a_high_quality_are_a_picture(photo, fine):
    """They are those of three bands, of the analysis for all five: the others are zero, and the graph is the same."""
    data, pixels = fine[CoderId.LEARNED], photo[100:164, :128].astype(float)
    short = truncate(data, 1024)
    assert not any(z.any() for z in read(short).tokens.bands[3:])
    assert (decode(short) == decode(data, tokens=1024)).all()
    errors = [np.mean((decode(data, tokens=count) - pixels) ** 2) for count in (64, 1024, 2048, 4096)]
    assert errors == sorted(errors, reverse=True) and len(set(errors)) == 4
    assert len(short) < len(data)


def test_truncating_twice_is_truncating_once(photo):
    data = encode(photo[:64], 256)
    assert truncate(truncate(data, 100), 30) == truncate(data, 30)
    assert truncate(data, 1024) == data


def test_truncated_file_decodes_like_its_prefix(usual):
    assert (decode(truncate(usual, 40)) == decode(usual, tokens=40)).all()


def test_truncate_checks_its_number(photo):
    data = encode(photo[:64, :64], 4)
    for count in (0, 4097, 2.5):
        with pytest.raises(OptionError):
            truncate(data, count)


def test_progress_adds_group_after_group(usual):
    contents = read(usual)
    steps = list(contents.progress())
    assert len(steps) == len(contents.groups)
    assert not any(z.any() for z in steps[0].bands)
    assert steps[-1].to_bytes() == contents.tokens.to_bytes()
    for before, after in zip(steps, steps[1:]):
        for a, b in zip(before.bands, after.bands):
            assert ((a == b) | (a == 0)).all()


def test_first_groups_cuts_at_the_lengths_ladder(fine):
    """Groups and lengths share their borders: the first n groups of a full piece are its first LENGTHS[n] tokens."""
    tokens = read(fine[CoderId.LEARNED]).tokens
    assert tokens.lengths.tolist() == [[4096, 4096]] and all(z.any() for z in tokens.bands)
    for count in range(len(LENGTHS)):
        a, b = first_groups(tokens, count), tokens.first(int(LENGTHS[count]))
        assert all((x == y).all() for x, y in zip(a.bands, b.bands))
