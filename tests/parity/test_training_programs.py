"""Whole training programs, the same source on PyTorch and on tracec, compared by their
parameters."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import tracec  # noqa: E402


def _copy(source, target) -> None:
    """Gives the target model the source's weights."""
    target.load_state_dict({k: tracec.tensor(v.numpy()) for k, v in source.state_dict().items()})


def _same(model, other, tolerance: float = 2e-5) -> None:
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(
            p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=name
        )


def _adversarial(T, generator, critic, batches) -> None:
    """Two models, two optimizers; the generator's graph outlives the critic's step."""
    one = T.optim.SGD(generator.parameters(), lr=0.05)
    two = T.optim.SGD(critic.parameters(), lr=0.05, momentum=0.5)
    loss = T.nn.BCEWithLogitsLoss()
    for real, noise in batches:
        real, noise = T.tensor(real), T.tensor(noise)
        fake = generator(noise)
        ones, zeros = T.ones(len(real), 1), T.zeros(len(real), 1)
        total = loss(critic(real), ones) + loss(critic(fake.detach()), zeros)
        two.zero_grad()
        total.backward()
        two.step()
        again = loss(critic(fake), ones)
        one.zero_grad()
        again.backward()
        one.step()


def test_adversarial_training():
    def models(T):
        nn = T.nn
        return (
            nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.BatchNorm1d(8), nn.Linear(8, 2)),
            nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)),
        )

    rng = np.random.default_rng(0)
    batches = [
        (rng.standard_normal((6, 2), dtype="f4"), rng.standard_normal((6, 3), dtype="f4"))
        for _ in range(5)
    ]
    theirs, ours = models(torch), models(tracec)
    for a, b in zip(theirs, ours, strict=True):
        _copy(a, b)
    _adversarial(torch, *theirs, batches)
    _adversarial(tracec, *ours, batches)
    for a, b in zip(theirs, ours, strict=True):
        _same(a, b)


def _q_learning(T, model, target, batches) -> None:
    """A target network without gradients, moved slowly in place."""
    F = T.nn.functional
    optimizer = T.optim.Adam(model.parameters(), lr=0.01)
    for state, action, reward, after in batches:
        state, action, reward, after = map(T.tensor, (state, action, reward, after))
        values = model(state).gather(1, action[:, None]).squeeze(1)
        with T.no_grad():
            wanted = reward + 0.9 * target(after).max(1)[0]
        loss = F.smooth_l1_loss(values, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.item() > 0
        with T.no_grad():
            for p, q in zip(model.parameters(), target.parameters(), strict=True):
                q.mul_(0.9).add_(0.1 * p)


def test_q_learning():
    def model(T):
        return T.nn.Sequential(T.nn.Linear(4, 16), T.nn.Tanh(), T.nn.Linear(16, 3))

    rng = np.random.default_rng(1)
    batches = [
        (
            rng.standard_normal((8, 4), dtype="f4"),
            rng.integers(0, 3, 8),
            rng.standard_normal(8, dtype="f4"),
            rng.standard_normal((8, 4), dtype="f4"),
        )
        for _ in range(6)
    ]
    theirs, ours = (model(torch), model(torch)), (model(tracec), model(tracec))
    for a, b in zip(theirs, ours, strict=True):
        _copy(a, b)
    _q_learning(torch, *theirs, batches)
    _q_learning(tracec, *ours, batches)
    for a, b in zip(theirs, ours, strict=True):
        _same(a, b, 1e-4)


def _recurrent(T, model, head, batches) -> None:
    optimizer = T.optim.RMSprop([*model.parameters(), *head.parameters()], lr=0.001)
    for x, y in batches:
        out, _ = model(T.tensor(x))
        loss = T.nn.functional.cross_entropy(head(out[:, -1]), T.tensor(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_recurrent_training():
    rng = np.random.default_rng(2)
    batches = [
        (rng.standard_normal((3, n, 5), dtype="f4"), rng.integers(0, 4, 3)) for n in (7, 5, 9, 7)
    ]
    theirs = torch.nn.LSTM(5, 6, 2, batch_first=True), torch.nn.Linear(6, 4)
    ours = tracec.nn.LSTM(5, 6, 2, batch_first=True), tracec.nn.Linear(6, 4)
    for a, b in zip(theirs, ours, strict=True):
        _copy(a, b)
    _recurrent(torch, *theirs, batches)
    _recurrent(tracec, *ours, batches)
    for a, b in zip(theirs, ours, strict=True):
        _same(a, b, 1e-4)
