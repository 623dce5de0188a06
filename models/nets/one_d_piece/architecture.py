"""Sizes of the networks, and from them the name and shape of every tensor."""

from dataclasses import asdict, dataclass

SIDE = 256  # pixels along the side of a picture
PATCH = 16
GRID = SIDE // PATCH  # patches along the side
TOKENS = 256
CODEBOOK = 4096  # 12 bits a token
CODE = 12  # numbers in a code
PROXY_CODES = 1024
CHANNELS = (1, 1, 2, 2, 4)  # of the pixel decoder's levels, fine to coarse, in units of `hidden`


@dataclass(frozen=True)
class Architecture:
    """What differs between the sizes; all else is constant.

    `width`, `layers` and `heads` are those of both transformers. `hidden` channels of the pixel decoder's
    finest level, in `groups` groups for normalisation; `proxy_width` numbers in a proxy code.
    """

    width: int
    layers: int
    heads: int
    hidden: int = 128
    groups: int = 32
    proxy_width: int = 256

    def __post_init__(self):
        if min(asdict(self).values()) < 1:
            raise ValueError("every size of a One-D-Piece network is at least 1")
        if self.width % self.heads or self.hidden % self.groups:
            raise ValueError("width must be a multiple of heads, hidden of groups")

    def to_dict(self):
        return asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The Architecture of what `to_dict` gave, also after a passage through JSON."""
        return cls(**fields)


PRESETS = {
    "tiny": Architecture(128, 2, 8, hidden=8, groups=2, proxy_width=64),  # trains on one CPU core
    "s": Architecture(512, 8, 8),
    "b": Architecture(768, 12, 12),
    "l": Architecture(1024, 24, 16),
}


def _affine(name, *weight, bias=True):
    """A weight of shape `weight`, and a bias as long as its first axis."""
    return {f"{name}.weight": weight} | ({f"{name}.bias": weight[:1]} if bias else {})


def _transformer(name, arch):
    w = arch.width
    tensors = {
        f"{name}.class_embedding": (1, w),
        f"{name}.positional_embedding": (GRID**2 + 1, w),
        f"{name}.latent_token_positional_embedding": (TOKENS, w),
        **_affine(f"{name}.ln_pre", w),
        **_affine(f"{name}.ln_post", w),
    }
    for i in range(arch.layers):
        block = f"{name}.transformer.{i}"
        tensors |= _affine(f"{block}.ln_1", w) | _affine(f"{block}.ln_2", w)
        tensors |= {f"{block}.attn.in_proj_weight": (3 * w, w), f"{block}.attn.in_proj_bias": (3 * w,)}
        tensors |= _affine(f"{block}.attn.out_proj", w, w)
        tensors |= _affine(f"{block}.mlp.c_fc", 4 * w, w) | _affine(f"{block}.mlp.c_proj", w, 4 * w)
    return tensors


def _residual(name, inputs, outputs):
    tensors = _affine(f"{name}.norm1", inputs) | _affine(f"{name}.conv1", outputs, inputs, 3, 3, bias=False)
    tensors |= _affine(f"{name}.norm2", outputs) | _affine(f"{name}.conv2", outputs, outputs, 3, 3, bias=False)
    if inputs != outputs:
        tensors |= _affine(f"{name}.nin_shortcut", outputs, outputs, 1, 1, bias=False)
    return tensors


def _pixel_decoder(name, arch):
    widths = [c * arch.hidden for c in CHANNELS]
    tensors = _affine(f"{name}.conv_in", widths[-1], arch.proxy_width, 3, 3)
    tensors |= _residual(f"{name}.mid.0", widths[-1], widths[-1]) | _residual(f"{name}.mid.1", widths[-1], widths[-1])
    for level, (outputs, inputs) in enumerate(zip(widths, [*widths[1:], widths[-1]])):
        tensors |= _residual(f"{name}.up.{level}.block.0", inputs, outputs)
        tensors |= _residual(f"{name}.up.{level}.block.1", outputs, outputs)
        if level:
            tensors |= _affine(f"{name}.up.{level}.upsample_conv", outputs, outputs, 3, 3)
    return tensors | _affine(f"{name}.norm_out", widths[0]) | _affine(f"{name}.conv_out", 3, widths[0], 3, 3)


def expected_tensors(arch):
    """{name: shape} of a state dict of `arch`, to check a file by before anything is loaded."""
    w = arch.width
    return {
        "latent_tokens": (TOKENS, w),
        **_affine("encoder.patch_embed", w, 3, PATCH, PATCH),
        **_transformer("encoder", arch),
        **_affine("encoder.conv_out", CODE, w, 1, 1),
        "quantize.embedding.weight": (CODEBOOK, CODE),
        "decoder.mask_token": (1, 1, w),
        **_affine("decoder.decoder_embed", w, CODE),
        **_transformer("decoder", arch),
        **_affine("decoder.ffn.0", 2 * w, w, 1, 1),
        **_affine("decoder.ffn.2", PROXY_CODES, 2 * w, 1, 1),
        "pixel_quantize.embedding.weight": (PROXY_CODES, arch.proxy_width),
        **_pixel_decoder("pixel_decoder", arch),
    }
