"""The One-D-Piece network against vectors that the upstream code made (tests/reference/README.md)."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from odpiece.models.nets.one_d_piece.architecture import PRESETS, Architecture, expected_tensors  # noqa: E402
from odpiece.models.nets.one_d_piece.network import OneDPiece  # noqa: E402
from odpiece.models.nets.one_d_piece.pixel_decoder import Residual  # noqa: E402

REFERENCE = Path(__file__).parent.parent / "reference" / "onedpiece_tiny.npz"
SIZES = Architecture(width=48, layers=2, heads=3, hidden=16, groups=4, proxy_width=32)
PREFIXES = (1, 8, 64, 256)
TOLERANCE = 1e-4
PARAMETERS = {"s": (308, 83_871_247), "b": (404, 205_256_463), "l": (692, 641_742_863)}


@pytest.fixture(scope="module")
def reference():
    """{name: tensor} of the file, `ref.` left off."""
    with np.load(REFERENCE, allow_pickle=False) as file:
        arrays = {name.removeprefix("ref."): file[name] for name in file.files if name != "meta_json"}
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def network(reference):
    network = OneDPiece(SIZES).eval().requires_grad_(False)
    network.load_state_dict({name: reference[name] for name in expected_tensors(SIZES)}, strict=True)
    return network


@pytest.fixture(scope="module")
def images(reference):
    return reference["in.images_u8"].float() / 255


@pytest.fixture(scope="module")
def ids(reference):
    return reference["token_ids"].long()


def assert_near(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max().item() < TOLERANCE


def test_the_reference_holds_exactly_the_expected_tensors(reference):
    own = ("encoder.", "decoder.", "quantize.", "pixel_")
    weights = {name: tuple(t.shape) for name, t in reference.items() if name.startswith(own) or name == "latent_tokens"}
    assert weights == expected_tensors(SIZES)


@pytest.mark.parametrize("size", PRESETS)
def test_expected_tensors_are_those_of_the_network(size):
    with torch.device("meta"):
        state = OneDPiece(PRESETS[size]).state_dict()
    shapes = {name: tuple(t.shape) for name, t in state.items()}
    assert shapes == expected_tensors(PRESETS[size])
    if size in PARAMETERS:
        assert (len(shapes), sum(map(torch.Size.numel, map(torch.Size, shapes.values())))) == PARAMETERS[size]
    assert Architecture.from_dict(PRESETS[size].to_dict()) == PRESETS[size]


@pytest.mark.parametrize("sizes", [(48, 2, 5), (48, 0, 3), (48, 2, 3, 16, 5)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError):
        Architecture(*sizes)


def test_latents(network, images, reference):
    assert_near(network.encoder.hidden(images, network.latent_tokens), reference["encoder_latents"])
    assert_near(network.latents(images), reference["z"][:, :, 0].transpose(1, 2))


def test_tokens(network, images, reference, ids):
    assert torch.equal(network.quantize.nearest(reference["z"][:, :, 0].transpose(1, 2)), ids)
    assert torch.equal(network.encode(images), ids)
    assert_near(network.quantize.codes(ids), reference["zq"][:, :, 0].transpose(1, 2))


def test_quantizer_losses(network, images, reference):
    codes, (commitment, codebook) = network.quantize(network.latents(images))
    assert_near(torch.stack([commitment, codebook, commitment + codebook]), reference["quantizer_losses"])
    assert_near(codes, reference["zq"][:, :, 0].transpose(1, 2))


@pytest.mark.parametrize("k", PREFIXES)
def test_logits_of_a_prefix(network, reference, ids, k):
    logits = network.proxy_logits(ids[:, :k])
    assert torch.equal(logits.argmax(dim=1), reference[f"logits_argmax_k{k}"].long())
    assert_near(logits.logsumexp(dim=1), reference[f"logits_lse_k{k}"])


@pytest.mark.parametrize("k", PREFIXES)
def test_picture_of_a_prefix(network, reference, ids, k):
    picture = network.decode(ids[:, :k])
    assert_near(picture[:, :, :64, 192:], reference[f"image_crop_k{k}"])
    assert_near(torch.nn.functional.avg_pool2d(picture, 8), reference[f"image_box8_k{k}"])
    assert_near(picture.mean(dim=(2, 3)), reference[f"image_mean_k{k}"])
    assert_near(picture.std(dim=(2, 3), correction=0), reference[f"image_std_k{k}"])


def test_stages_of_the_decoder(network, reference, ids):
    codes = network.quantize.codes(ids[:, :64])
    assert_near(network.decoder.hidden(codes), reference["decoder_hidden_k64"])
    logits = network.decoder(codes)
    assert_near(logits[:, :, ::5, ::5], reference["logits_sub_k64"])
    assert_near(network.pixel_quantize(logits), reference["expected_embedding_k64"])
    crop = network.pixel_decoder(reference["expected_embedding_k64"])[:, :, :64, 192:]
    assert_near(crop, reference["image_crop_k64"])


def test_residual_block_that_changes_the_width(reference):
    block = Residual(96, 64, Architecture(64, 1, 1, hidden=32))
    block.load_state_dict(
        {
            name.removeprefix("resblock."): value
            for name, value in reference.items()
            if name.startswith("resblock.") and name not in ("resblock.in", "resblock.out")
        }
    )
    assert_near(block(reference["resblock.in"]), reference["resblock.out"])


def test_hidden_tokens_are_as_good_as_absent(network, images, ids):
    """Training hides the tail of each picture; decoding leaves it away."""
    lengths = torch.tensor([3, 200])
    pictures, _ = network(images, lengths)
    for i, k in enumerate(lengths):
        assert (pictures[i] - network.decode(ids[i : i + 1, :k])[0]).abs().max().item() < TOLERANCE
        assert (pictures[i] - network.decode(ids[i : i + 1, : k + 1])[0]).abs().max().item() > 1e-3


@pytest.mark.parametrize("k", [0, 257])
def test_other_numbers_of_tokens_are_refused(network, k):
    with pytest.raises(ValueError, match=f"{k} tokens, give 1 to 256"):
        network.decode(torch.zeros(1, k, dtype=torch.int64))


def test_pictures_of_other_sizes_are_refused(network):
    with pytest.raises(ValueError, match="give \\(3, 256, 256\\)"):
        network.encode(torch.zeros(1, 3, 256, 128))
