"""odpiece train: the networks and the tables that ship (needs the extra odpiece[torch])."""

from functools import wraps
from pathlib import Path

import click

from odpiece.cli.options import Finite
from odpiece.formats.errors import MissingExtraError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
CHECKPOINT = click.Path(exists=True, dir_okay=False, path_type=Path)
MINUTES = Finite(0, min_open=True)
CHECKPOINT_OUT = click.Path(dir_okay=False, path_type=Path)

data_option = click.option("--data", type=FOLDER, required=True, help="Folder of training pictures.")
folders_option = click.option(
    "--data", type=FOLDER, required=True, multiple=True, help="Folder of training pictures, more than once for several."
)
cache_option = click.option("--cache", type=OUT, help="Folder for decoded pictures. [default: the user's cache folder]")


part_option = click.option(
    "--part", type=MINUTES, help="End this part of the run after so many minutes, to be resumed."
)
batch_option = click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Crops of 256x256 a step and process."
)
fine_option = click.option(
    "--fine",
    type=click.FloatRange(0, 1),
    default=0.15,
    show_default=True,
    help="Share of the steps that teach q above 512.",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to train."
)


def tuning_options(required=True):
    """What a command that trains one part takes: the fields of TuningOptions (models/training/bands/loop.py)."""

    def decorate(function):
        @click.option("--checkpoint", type=CHECKPOINT, required=required, help="Checkpoint of another `train` command.")
        @folders_option
        @click.option("--out", type=CHECKPOINT_OUT, required=required, help="Checkpoint to write.")
        @click.option("--minutes", type=MINUTES, required=required, help="Length of the run, resumed parts together.")
        @part_option
        @click.option("--resume", is_flag=True, help="Go on from the checkpoint --out, if it is there.")
        @cache_option
        @batch_option
        @device_option
        @wraps(function)
        def command(*args, **kwargs):
            return function(*args, **kwargs)

        return command

    return decorate


@click.group()
def train():
    """Train the models (needs odpiece[torch])."""


@train.command()
@folders_option
@click.option("--val", type=FOLDER, required=True, help="Folder of validation pictures, never trained on.")
@click.option("--out", type=OUT, required=True, help="Folder for checkpoints and the log.")
@click.option(
    "--minutes",
    type=Finite(),
    required=True,
    help="Length of the run, resumed parts together; 0 writes the untrained network.",
)
@part_option
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out, if there is one.")
@cache_option
@batch_option
@click.option("--threads", type=click.IntRange(0), default=0, help="Cores to use; 0: all, one beside a GPU.")
@device_option
@fine_option
@click.option(
    "--init",
    "start",
    type=CHECKPOINT,
    help="Weights file (.safetensors) or checkpoint to begin with. [default: from scratch]",
)
@click.option(
    "--rate", type=Finite(0, min_open=True), help="Multiple of the learning rates. [default: 1, with --init 0.35]"
)
def tokenizer(data, val, out, minutes, part, resume, cache, batch, threads, device, fine, start, rate):
    """Train the tokenizer and, jointly, a float prior.

    In N processes, for N GPUs or cores: torchrun --nproc-per-node N --no-python odpiece train tokenizer ...
    """
    _require_torch()

    from odpiece.models.training.bands.loop import TrainOptions, train_tokenizer

    options = TrainOptions(data, val, out, minutes, resume, start, part, cache, batch, threads, device, fine, rate)
    for row in train_tokenizer(options) or ():
        click.echo(f"q {row['q']:>4}  {row['psnr']:.2f} dB  {row['bpp']:.4f} bits a pixel")


@train.command()
@tuning_options(required=False)
@fine_option
@click.option("--model", metavar="NAME|PATH", help="Instead of --checkpoint, --out, --minutes: a One-D-Piece model.")
def prior(checkpoint, out, minutes, model, **options):
    """Train the prior alone, on the tokens that the codec will write, the tokenizer frozen.

    `train export` turns the result into the integer network that ships. With --model count the tables of a
    One-D-Piece model instead, which becomes able to code them, and with which `encode` then codes by default.
    """
    if model:
        if checkpoint or out or minutes:
            raise click.UsageError("give --model, or --checkpoint, --out and --minutes")
        return _count_tables(model, options["data"])
    if not (checkpoint and out and minutes):
        raise click.UsageError("give --checkpoint, --out and --minutes, or --model")
    _require_torch()

    from odpiece.models.training.bands.prior_loop import train_prior
    from odpiece.models.training.bands.tuning import TuningOptions

    train_prior(TuningOptions(checkpoint=checkpoint, out=out, minutes=minutes, **options))


@train.command()
@tuning_options()
def exact(**options):
    """Fit the transform of q above 512 alone, to the least cost; train the tokenizer with --fine 1 after it."""
    _require_torch()

    from odpiece.models.training.bands.exact_loop import train_exact
    from odpiece.models.training.bands.tuning import TuningOptions

    train_exact(TuningOptions(fine=1.0, **options))


@train.command()
@tuning_options()
def look(**options):
    """Train the natural look alone, all else frozen."""
    _require_torch()

    from odpiece.models.training.bands.look_loop import train_look
    from odpiece.models.training.bands.tuning import TuningOptions

    train_look(TuningOptions(**options))


@train.command("one-d-piece")
@click.option("--preset", type=click.Choice(["tiny", "s", "b", "l"]), required=True, help="Sizes of the network.")
@data_option
@click.option("--out", type=OUT, required=True, help="Folder for checkpoints, the log and the weights.")
@click.option("--minutes", type=Finite(0), required=True, help="Length of the run, resumed parts together.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Pictures a step and process.")
@click.option("--drop/--no-drop", default=True, help="Decode a random number of first tokens, or always all.")
@click.option("--overfit", type=click.IntRange(1), help="Train on the middles of so many pictures alone, as a check.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out, if there is one.")
@cache_option
def one_d_piece(preset, data, out, minutes, batch, drop, overfit, resume, cache):
    """Train a One-D-Piece network with Tail Token Drop.

    On a machine with N GPUs: torchrun --nproc-per-node N --no-python odpiece train one-d-piece ...
    """
    _require_torch()

    from odpiece.models.training.one_d_piece.loop import OneDPieceOptions, train_one_d_piece

    options = OneDPieceOptions(data, out, minutes, preset, drop, overfit or 0, resume, cache, batch)
    for tokens, psnr in (train_one_d_piece(options) or {}).items():
        click.echo(f"{tokens:>3} tokens  {psnr:.2f} dB on pictures trained on")


@train.command()
@click.argument("checkpoints", type=CHECKPOINT, nargs=-1, required=True)
@click.option("--out", type=CHECKPOINT_OUT, required=True, help="Checkpoint to write.")
def average(checkpoints, out):
    """Average the weights of CHECKPOINTS of one run: often better than each of them."""
    _require_torch()

    from odpiece.models.training.bands.loop import average_checkpoints

    average_checkpoints(checkpoints, out)


@train.command()
@click.option("--checkpoint", type=CHECKPOINT, required=True, help="Checkpoint of `train tokenizer` or `train prior`.")
@folders_option
@click.option("--name", required=True, help="Name of the model.")
@click.option("--out", type=OUT, required=True, help="Folder for the weights file, the graphs and the index.")
@cache_option
@click.option("--crops", type=click.IntRange(1), default=500, show_default=True, help="Crops to count symbols on.")
def export(checkpoint, data, name, out, cache, crops):
    """Write a checkpoint's weights, the integer prior and the coders' tables as an installable model."""
    _require_torch()

    from odpiece.codec.bands.export import export_model

    click.echo(f"{name}: SHA-256 {export_model(checkpoint, data, name, out, cache=cache, crops=crops)}")


def _count_tables(name, data):
    from odpiece.codec.one_d_piece.histograms import make_tables
    from odpiece.models.library import load_model

    model = load_model(name)
    tables, bits, skipped = make_tables(model, data)
    for path in skipped:
        click.echo(f"warning: {path} is no picture and is skipped", err=True)
    click.echo(f"{model.name}: tables {tables.fingerprint.hex()}, {bits:.2f} bits a token instead of 12", err=True)


def _require_torch():
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"training needs {error.name}: pip install 'odpiece[torch]'") from None
