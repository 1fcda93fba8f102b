"""The UCI handwritten digits as NumPy arrays, split into training and held-out images."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

FILE = Path(__file__).parent / "data" / "digits.csv.gz"
HELD_OUT = 360


class Digits(NamedTuple):
    train_images: np.ndarray  # float32 [1437, 1, 8, 8], values in 0..1
    train_labels: np.ndarray  # int64 [1437]
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits() -> Digits:
    """All 1,797 images in a fixed random order, the last 360 of them held out."""
    with gzip.open(FILE, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    table = table[np.random.default_rng(0).permutation(len(table))]
    images = (table[:, :64].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    labels = np.ascontiguousarray(table[:, 64])
    return Digits(images[:-HELD_OUT], labels[:-HELD_OUT], images[-HELD_OUT:], labels[-HELD_OUT:])
