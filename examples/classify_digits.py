"""Classify handwritten digits with a saved model, the standalone runtime and NumPy alone."""

import os
import sys

import numpy as np
from digits_data import load_digits

import tracec_runtime

REQUIRED_ACCURACY = 0.97


def classify(path, images):
    """The predicted digit of each image; any number of images, in batches of up to 100."""
    model = tracec_runtime.load(path)
    batches = [images[start : start + 100] for start in range(0, len(images), 100)]
    return np.concatenate([np.asarray(model(batch)).argmax(axis=1) for batch in batches])


def enlarge(image, size=14):
    """The image with its rows and columns interpolated to `size`."""
    old, new = np.arange(len(image)), np.linspace(0, len(image) - 1, size)
    rows = np.stack([np.interp(new, old, column) for column in image.T], axis=1)
    return np.stack([np.interp(new, old, row) for row in rows])


def draw(image, color):
    """The lines of one 8x8 image, two rows of pixels to a line of half-block characters."""
    pixels = enlarge(image)
    lines = []
    for upper, lower in zip(pixels[0::2], pixels[1::2], strict=True):
        pairs = list(zip(upper, lower, strict=True))
        if color:
            shades = [(232 + round(23 * u), 232 + round(23 * v)) for u, v in pairs]
            cells = [f"\x1b[38;5;{u};48;5;{v}m\N{UPPER HALF BLOCK}" for u, v in shades]
            lines.append("".join(cells) + "\x1b[0m")
        else:
            lines.append("".join(" ▀▄█"[(u > 0.5) + 2 * (v > 0.5)] for u, v in pairs))
    return lines


def show(images, predictions, labels):
    """Print the images side by side, each above its prediction."""
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in zip(*(draw(image[0], color) for image in images), strict=True):
        print("  ".join(line))
    verdicts = [
        f"{p}, right" if p == t else f"{p}, wrong: {t}"
        for p, t in zip(predictions, labels, strict=True)
    ]
    print("  ".join(f"{verdict:^14}" for verdict in verdicts) + "\n")


def main():
    digits = load_digits()
    predictions = classify(sys.argv[1], digits.test_images)
    if "tracec" in sys.modules:
        sys.exit("error: the runtime imported the framework")
    accuracy = np.mean(predictions == digits.test_labels)
    print(f"tracec_runtime alone ('tracec' was never imported): {accuracy:.2%} right")
    chosen = [np.flatnonzero(digits.test_labels == digit)[0] for digit in range(10)]
    for row in (chosen[:5], chosen[5:]):
        show(digits.test_images[row], predictions[row], digits.test_labels[row])
    return 0 if accuracy >= REQUIRED_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
