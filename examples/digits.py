"""Train a small CNN on handwritten digits, save it, and classify with it in a new process."""

import argparse
import subprocess
import sys
from pathlib import Path

from digits_data import load_digits
from tqdm import tqdm

import tracec as torch
from tracec import nn
from tracec.utils.data import DataLoader, TensorDataset

REQUIRED_ACCURACY = 0.97


class DigitNet(nn.Module):
    """Two 3x3 convolutions, one pooling, two linear layers: 38,282 parameters."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


def train(model, loader, epochs):
    """Train in place with Adam; a progress bar shows the loss of the last batch of an epoch."""
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.train()
    with tqdm(total=epochs * len(loader), desc="training", unit="step") as progress:
        for epoch in range(epochs):
            for images, labels in loader:
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                progress.update()
            progress.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.4f}")


@torch.no_grad()
def accuracy(model, images, labels):
    """The share of `images` that the model classifies as `labels`."""
    model.eval()
    predictions = model(images).argmax(dim=1)
    return (predictions == labels).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("digits.tcm"))
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    digits = load_digits()
    dataset = TensorDataset(
        torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
    )
    loader = DataLoader(dataset, batch_size=32, shuffle=True, drop_last=True)
    model = DigitNet()
    train(model, loader, arguments.epochs)

    held_out = accuracy(
        model, torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels)
    )
    print(f"held-out accuracy: {held_out:.2%} of {len(digits.test_labels)} images")

    torch.jit.script(model).save(arguments.output)
    print(f"saved {arguments.output}; a new process loads it without the framework:", flush=True)
    script = Path(__file__).with_name("classify_digits.py")
    deployed = subprocess.run([sys.executable, script, arguments.output])
    return deployed.returncode if held_out >= REQUIRED_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
