"""Where the float half of a model runs: which library, on which device, and what is missing for it.

The prior has one exact implementation on the CPU, so a file's tokens are the same whatever is chosen here.
"""

from contextlib import contextmanager
from functools import wraps
from importlib import import_module

from odpiece.formats.errors import DamagedError, DeviceError, MissingExtraError, OdpieceError, OptionError

BACKENDS = ("onnx", "torch")
DEVICES = ("cpu", "cuda", "auto")
LIBRARIES = {"onnx": "onnxruntime", "torch": "torch"}


def choose_device(backend, device):
    """Either "cpu" or "cuda": what `device` names, or for "auto" cuda where `backend` can use it, else cpu.

    Raises OptionError for other names, MissingExtraError where the backend's library cannot be imported, and
    DeviceError where "cuda" cannot be used.
    """
    for name, value, known in (("backend", backend, BACKENDS), ("device", device, DEVICES)):
        if not (isinstance(value, str) and value in known):
            raise OptionError(f"{name} is {value}, give one of {', '.join(known)}")
    if (backend, device) == ("onnx", "cpu"):  # always there, and not imported before it is used
        return device
    module = load_backend(backend)
    if device == "cpu":
        return device
    fault = module.cuda_fault()
    if device == "cuda" and fault:
        raise DeviceError(f"backend {backend} cannot use cuda: {fault}")
    return "cpu" if fault else "cuda"


def load_backend(backend):
    """The module of a backend, with its Transform and `cuda_fault()`. Raises MissingExtraError."""
    library = LIBRARIES[backend]
    try:
        return import_module(f"odpiece.models.{backend}_backend")
    except (ImportError, OSError) as error:  # OSError: a shared library that cannot be loaded
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            package = "'odpiece[torch]'" if backend == "torch" else library
            raise MissingExtraError(f"backend {backend} needs {library}: pip install {package}") from None
        reason = str(error).splitlines()[0]
        raise MissingExtraError(f"backend {backend}: {library} is broken, install it again ({reason})") from None


@contextmanager
def making_network(model, device):
    """A context in which a library makes a network of the files of `model`, a path: what fails is a DamagedError.

    Errors of a GPU, and of memory, are left to `library_errors`.
    """
    try:
        yield
    except OdpieceError:
        raise
    except Exception as error:
        if device == "cuda" or "allocate memory" in str(error) or isinstance(error, MemoryError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedError(f"{model} is damaged, it makes no network: {reason}") from None


def library_errors(method):
    """A method of a Transform, which has its `device`, with a library's errors turned into ours.

    On a GPU all of them become DeviceError; those of the CPU's memory become MemoryError.
    """

    @wraps(method)
    def guarded(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        except OdpieceError:
            raise
        except Exception as error:
            if self.device == "cuda":
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise DeviceError(f"the GPU failed, --device cpu does without it: {reason}") from error
            if "allocate memory" in str(error):
                raise MemoryError(str(error)) from None
            raise

    return guarded
