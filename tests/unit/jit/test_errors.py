"""What script refuses, and how it says so: file and line, source, a caret, what to write."""

import pytest

import tracec as torch
from tracec import nn
from tracec.jit import ScriptError


def prints(x):
    print(x)
    return x


def tries(x):
    try:
        return x
    except ValueError:
        return x + 1


def grows(x):
    out = []
    for i in range(int(x.sum())):
        out.append(x * i)
    return out


def changes_shape(x):
    while x.sum() < 10:
        x = torch.cat([x, x])
    return x


def kinds_differ(x):
    if x.sum() > 0:
        return x
    return None


def one_way_only(x):
    if x.sum() > 0:
        y = x
    return y


def raises_on_data(x):
    if x.sum() > 0:
        raise ValueError("positive")
    return x


def asserts_data(x):
    assert x.sum() > 0
    return x


def recursive(x):
    return recursive(x - 1) if x.sum() > 0 else x


def returns_in_loop(x):
    while x.sum() < 10:
        x = x + 1
        if x[0] > 3:
            return x
    return x


def as_list(x):
    return x.tolist()


def dynamic_index(x):
    parts = [x, x + 1]
    return parts[int(x.sum())]


def generator(x):
    yield x


CASES = {
    prints: "print is not supported",
    tries: "`try` is not supported",
    grows: "changes its length",
    changes_shape: "must keep its type",
    kinds_differ: "do not fit together",
    one_way_only: "assigned in one way",
    raises_on_data: "raising depends on data",
    asserts_data: "assertion on data",
    recursive: "recursion is not supported",
    returns_in_loop: "`return` inside a loop|returns from inside a loop",
    as_list: "needs the tensor's values",
    dynamic_index: "cannot be indexed by a number",
    generator: "generator",
}


@pytest.mark.parametrize("fn", CASES, ids=lambda f: f.__name__)
def test_refusal_names_the_line(fn):
    scripted = torch.jit.script(fn)
    with pytest.raises(ScriptError, match=CASES[fn]) as caught, torch.no_grad():
        scripted(torch.ones(3))
    text = str(caught.value)
    assert f"{__file__.rpartition('/')[2]}:" in text
    assert "^" in text


def test_the_caret_stands_under_the_expression():
    scripted = torch.jit.script(prints)
    with pytest.raises(ScriptError) as caught, torch.no_grad():
        scripted(torch.ones(3))
    lines = str(caught.value).splitlines()
    shown, caret = lines[-2], lines[-1]
    assert shown.strip() == "print(x)"
    assert caret.index("^") == shown.index("print")


def wrong_shapes(x):
    y = x @ torch.ones(5, 2)
    return y


def test_errors_of_operations_keep_type_and_name_the_line():
    scripted = torch.jit.script(wrong_shapes)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes") as caught, torch.no_grad():
        scripted(torch.ones(3, 4))
    assert "test_errors.py:" in str(caught.value)


class Stateful(nn.Module):
    def forward(self, x):
        self.last = x
        return x


def test_attribute_assignment_is_refused():
    with pytest.raises(ScriptError, match="assigning an attribute"), torch.no_grad():
        torch.jit.script(Stateful())(torch.ones(2))


def test_training_state_is_not_saved(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    scripted = torch.jit.script(model)
    with pytest.raises(ScriptError, match=r"call \.eval\(\)"):
        scripted.save(tmp_path / "m.tcm")
    scripted.eval().save(tmp_path / "m.tcm")


def unknown(x):
    return x * 2


def test_unknown_inputs_are_asked_for(tmp_path):
    with pytest.raises(ScriptError, match="example_inputs"):
        torch.jit.script(unknown).save(tmp_path / "m.tcm")
    torch.jit.script(unknown).save(tmp_path / "m.tcm", example_inputs=(torch.ones(2, 3),))


def test_what_cannot_be_scripted():
    with pytest.raises(ScriptError, match="give a function or a Module"):
        torch.jit.script(3)
    with pytest.raises(ScriptError, match="classes cannot be scripted"):
        torch.jit.script(nn.Linear)
