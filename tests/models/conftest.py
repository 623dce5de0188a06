"""What the tests of training share: one thread, and pictures enough for principal components."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Training sets torch's threads and denormals for the whole process: put the threads back."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def turned(photo):
    """uint8 (8, 192, 192, 3): a square of the photo turned eight ways."""
    square = photo[:, :192]
    return np.stack([np.rot90(side, n) for side in (square, square[::-1]) for n in range(4)])
