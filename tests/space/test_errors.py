"""Everything that can be wrong with a space: each error names the thing, the value and the remedy."""

import functools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tuneful.errors import SpaceError
from tuneful.space import Bool, Choice, Float, Int, Log, Repeat, Space, Switch, When

SPACE = Space(
    {
        "lr": Log(1e-5, 1e-1),
        "n": Int(1, 3, default=2),
        "big": Int(1, 100, step=3, default=4),
        "opt": Switch(
            {
                "sgd": {"momentum": Float(0, 0.9), "inner": Switch({"x": {"y": Int(1, 2)}, "z": {}})},
                "adam": {},
            }
        ),
        "layers": Repeat(1, 3, {"units": Int(1, 9)}),
        "net": {"kind": ["cnn", "mlp"]},
    }
)
GOOD = {"lr": 0.01, "opt": "adam", "layers": [{"units": 3}], "net": {"kind": "cnn"}}

RANGES = [
    (lambda: Float(2, 1), r"Float\(2, 1\): low is above high\. Swap them\."),
    (
        lambda: Int(3, 3),
        r"Int\(3, 3\): low equals high, so there is nothing to search\. Widen the range, or leave",
    ),
    (
        lambda: Log(0, 1),
        r"Float\(0, 1, log=True\): a logarithmic range must begin above 0, and low is 0\. Pass a positive",
    ),
    (
        lambda: Int(-2, 4, log=True),
        r"Int\(-2, 4, log=True\): .* and low is -2\. Pass a positive low, or leave `log` out",
    ),
    (lambda: Float(0, float("inf")), r"Float\(0, inf\): high must be a finite number, and is inf\."),
    (lambda: Float(float("nan"), 1), r"low must be a finite number, and is nan\."),
    (
        lambda: Float(-1e308, 1e308),
        r"Float\(-1e\+308, 1e\+308\): the range is too wide for a float\. Narrow it, or use log",
    ),
    (lambda: Float("0", 1), r"low must be a finite number, and is '0' \(str\)\."),
    (lambda: Float(0, True), r"high must be a finite number, and is True \(bool\)\."),
    (lambda: Float(0, Fraction(1, 2)), r"high must be a finite number, and is Fraction\(1, 2\) \(Fraction\)"),
    (lambda: Int(0, 2.5), r"Int\(0, 2\.5\): high must be a whole number, and is 2\.5\."),
    (lambda: Int(0, -(10**5000)), r"high must be a whole number, and is about -10\*\*5000\."),
    (lambda: Int(0, 2**60), r"whole numbers may be as large as 2\*\*53\. Narrow the range, or use Float\."),
    (lambda: Int(0, 2**53), r"the range is wider than 2\*\*50\. Narrow it, or use Float\."),
    (lambda: Int(1, 10**13, log=True), r"may be as large as 10\*\*12 with log=True\."),
    (
        lambda: Float(0, 1, step=0.3),
        r"the step 0\.3 does not divide the range: the last value would be 0\.9\. Pass high=0\.9",
    ),
    (
        lambda: Int(1, 10, step=4),
        r"the step 4 does not divide the range: the last value would be 9\. Pass high=9, or another step\.",
    ),
    (lambda: Int(0, 2, step=3), r"the last value would be 0\. Pass a smaller one\."),
    (lambda: Int(1, 10, log=True, step=2), r"the last value would be 8\. Pass high=8, or another step\."),
    (lambda: Float(0, 1, step=0.15), r"would be 0\.9\. Pass high=0\.9"),
    (lambda: Float(0, 1, step=0), r"the step must be above 0, and is 0\."),
    (lambda: Float(1, 8, log=True, step=1), r"the step must be above 1 \(it is a factor\), and is 1\."),
    (lambda: Int(0, 4, step=0.5), r"step must be a whole number, and is 0\.5\."),
    (lambda: Float(0, 1, step=1e-300), r"the step 1e-300 is too small for this range\. Leave it out\."),
    (lambda: Float(1e16, 1e16 + 8, step=2), r"the step 2 is too small for this range"),
    (lambda: Float(1, 2, log=True, step=1.0000001), r"the step 1\.0000001 is too small for this range"),
    (lambda: Float(0, 1).levels(), r"Float\(0, 1\) is continuous: say how many levels of it to use\."),
]
DEFAULTS = [
    (
        lambda: Int(1, 6, default=9),
        r"The default 9 is not in Int\(1, 6\)\. Pass a whole number from 1 to 6\.",
    ),
    (
        lambda: Log(1e-5, 1, default=5),
        r"The default 5 is not in Float\(1e-05, 1, log=True\)\. Pass a number from 1e-05 to 1\.",
    ),
    (
        lambda: Float(0, 1, default="x"),
        r"The default 'x' \(str\) is not a finite number\. Pass a number from 0 to 1\.",
    ),
    (
        lambda: Int(0, 99, default=2.5),
        r"The default 2\.5 is not a whole number\. Pass a whole number from 0 to 99\.",
    ),
    (
        lambda: Int(0, 99, step=3, default=2),
        r"not in Int\(0, 99, step=3\)\. Pass a whole number from 0 to 99, in steps of 3\.",
    ),
    (
        lambda: Int(1, 3**15, log=True, step=3, default=2),
        r"Pass a whole number from 1 to 14348907, in factors of 3\.",
    ),
    (lambda: Int(1, 8, log=True, step=2, default=-1), r"The default -1 is not in .*Pass one of 1, 2, 4, 8\."),
    (
        lambda: Choice(["a", "b"], default="c"),
        r"The default 'c' is none of the options \['a', 'b'\]\. Pass one of them\.",
    ),
    (lambda: Bool(default=1), r"The default 1 is none of the options \[False, True\]"),
    (lambda: Choice(range(30), default=99), r"10, 11, … 18 more\]\. Pass one of them\."),
    (lambda: Switch({"a": {}}, default="b"), r"The default 'b' is none of the options \['a'\]"),
    (
        lambda: Repeat(1, 4, Int(1, 2), default=9),
        r"The default 9 is not in Int\(1, 4\)\. Pass a whole number from 1 to 4\.",
    ),
    (lambda: Repeat(2, 2, Int(1, 2), default=3), r"Repeat: the default 3 is not 2\. Leave it out\."),
]
CHOICES = [
    (lambda: Choice([]), r"A Choice without options\. Pass at least one\."),
    (lambda: Space({"a": []}), r"`a`: A Choice without options\."),
    (lambda: Choice("adam"), r"Choice\('adam'\): pass the options as a list, or as \{label: object\}\."),
    (lambda: Choice({1, 2}), r"Choice\(\{1, 2\}\): pass the options as a list"),
    (
        lambda: Choice(["a", "b", "a"]),
        r"Choice has two options with the label 'a'\. Leave one out, or label them\.",
    ),
    (lambda: Choice([(1,), "(1,)"]), r"two options with the label '\(1,\)'"),
    (lambda: Choice([0.0, -0.0]), r"two options with the label 0\.0"),
    (
        lambda: Choice([lambda: 1]),
        r"<lambda>.* has no name that lasts .*Give it one: Choice\(\{'a name': …, …\}\)",
    ),
    (
        lambda: Choice([object()]),
        r"has no name that lasts between runs .* Give it one: Choice\(\{'a name': object, …\}\)",
    ),
    (lambda: Choice([[object()]]), r"has no name that lasts"),
    (lambda: Choice([functools.partial(int)]), r"The option functools\.partial.* has no name that lasts"),
    (lambda: Choice([Space({"a": [1]}).config]), r"<bound method .* has no name that lasts"),
    (
        lambda: Choice({(1, 2): "a"}),
        r"Choice: the label \(1, 2\) must be a string, a number, a bool or None\.",
    ),
    (
        lambda: Choice(["a", "b"], weights=[1]),
        r"Choice: the weights \[1\] do not fit the 2 options \['a', 'b'\]\. Pass one number",
    ),
    (lambda: Choice(["a", "b"], weights=[0, 0]), r"the weights \[0, 0\] do not fit .* not all 0\."),
    (lambda: Choice(["a", "b"], weights=[1, -1]), r"the weights \[1, -1\] do not fit"),
    (lambda: Choice(["a", "b"], weights=[1, float("nan")]), r"the weights \[1, nan\] do not fit"),
    (lambda: Choice(["a", "b"], weights=[1, "x"]), r"the weights \[1, 'x'\] do not fit"),
    (lambda: Choice(["a", "b"], weights=3), r"the weights 3 do not fit"),
]
STRUCTURE = [
    (
        lambda: Space({}),
        r"The space is empty\. Name at least one parameter, or let the objective take a trial\.",
    ),
    (lambda: Space({"a": {}}), r"The space is empty"),
    (lambda: Space([1]), r"A space is a dict from name to what can vary, and not \[1\]\."),
    (
        lambda: Space({"lr": 0.1}),
        r"`lr` is 0\.1 \(float\), which says nothing about what can vary\. .*fixed value to the objective",
    ),
    (lambda: Space({"a": {"b": ("x", "y")}}), r"`a\.b` is \('x', 'y'\) \(tuple\)"),
    (
        lambda: Space({"a.b": Int(1, 2), "a": {"b": Int(1, 2)}}),
        r"Two parameters are called `a\.b`\. Rename one\.",
    ),
    (
        lambda: Space({"": Int(1, 2)}),
        r"A parameter is called '': use a string of 1 to 255 printable characters\.",
    ),
    (lambda: Space({"a\n": Int(1, 2)}), r"A parameter is called 'a\\n'"),
    (lambda: Space({3: Int(1, 2)}), r"A parameter is called 3: use a string"),
    (lambda: Space({"a": {"x" * 256: Int(1, 2)}}), r"A parameter is called 'xxx"),
    (
        lambda: Space({"num_workers": Int(1, 8)}),
        r"`num_workers` is a system setting: .* Pass it as settings=\{'num_workers': …\}",
    ),
    (lambda: Space({"a": {"pin_memory": Bool()}}), r"`pin_memory` is a system setting"),
    (lambda: SPACE.grown("n_jobs", Int(1, 8)), r"`n_jobs` is a system setting"),
    (lambda: Switch({}), r"A Switch without options\. Pass at least one\."),
    (lambda: Switch(["a", "b"]), r"Switch\(\['a', 'b'\]\): pass the options as \{name: parameters\}\."),
    (
        lambda: Switch({"a": Int(1, 2)}),
        r"Switch: the option 'a' has Int\(.*\) for its parameters\. Pass them as \{name: domain\}",
    ),
    (lambda: Switch({1: {}}), r"Switch: the option 1 must be named by 1 to 255 printable characters\."),
    (
        lambda: Switch({"a": {"name": Int(1, 2)}}),
        r"Switch: the option 'a' has a parameter called 'name', .* Call the parameter something else",
    ),
    (
        lambda: Switch({"a": {}, "b": {}}, weights=[1]),
        r"the weights \(1,\) do not fit the 2 options \['a', 'b'\]",
    ),
    (
        lambda: Repeat(3, 2, Int(1, 2)),
        r"Repeat\(3, 2, …\): pass whole numbers, 0 <= low <= high, and high above 0\.",
    ),
    (lambda: Repeat(-1, 2, Int(1, 2)), r"Repeat\(-1, 2, …\)"),
    (lambda: Repeat(0, 0, Int(1, 2)), r"Repeat\(0, 0, …\)"),
    (lambda: Repeat(1, 2.5, Int(1, 2)), r"Repeat\(1, 2\.5, …\): pass whole numbers"),
    (lambda: Space({"a": Repeat(1, 2, {"b": 3})}), r"`a\.0\.b` is 3 \(int\)"),
    (
        lambda: When("opt", Int(1, 2)),
        r"When\('opt', …\): name one parameter, as \{name: value or list of values\}\. For two",
    ),
    (lambda: When({"a": 1, "b": 2}, Int(1, 2)), r"When\(\{'a': 1, 'b': 2\}, …\): name one parameter"),
    (
        lambda: Space({"opt": ["a"], "m": When({"op": "a"}, Int(1, 2))}),
        r"`m` depends on `op`, which is not a parameter beside it\. Did you mean `opt`\?",
    ),
    (
        lambda: Space({"opt": ["a"], "m": When({"zzz": "a"}, Int(1, 2))}),
        r"beside it\. The parameters are `opt`, `m`\.",
    ),
    (
        lambda: Space({"g": {"m": When({"opt": "a"}, Int(1, 2))}, "opt": ["a"]}),
        r"`g\.m` depends on `opt`, which is not a parameter beside it",
    ),
    (
        lambda: Space({"r": Repeat(1, 2, When({"r": 1}, Int(1, 2)))}),
        r"`r\.0` depends on `r`, which is not a parameter beside it\.$",
    ),
    (
        lambda: Space({"opt": ["a"], "m": When({"opt": "b"}, Int(1, 2))}),
        r"`m` depends on a value of `opt` that it never has: The value 'b' is none of the options \['a'\]",
    ),
    (
        lambda: Space({"opt": Switch({"a": {}}), "m": When({"opt": ["a", "b"]}, Int(1, 2))}),
        r"`m` depends on a value of `opt` that it never has: .*'b'",
    ),
    (
        lambda: Space({"n": Int(1, 3), "m": When({"n": 4}, Int(1, 2))}),
        r"`m` depends on a value of `n` that it never has: The value 4 is not in Int\(1, 3\)",
    ),
    (
        lambda: Space({"n": Int(1, 3), "m": When({"n": [4, 5]}, Int(1, 2))}),
        r"The value 4 is not in Int\(1, 3\)",
    ),
    (
        lambda: Space({"n": Int(1, 3), "m": When({"n": []}, Int(1, 2))}),
        r"`m` depends on `n`, but on no value of it\. Name at least one\.",
    ),
    (
        lambda: Space({"x": Float(0, 1), "m": When({"x": 0.5}, Int(1, 2))}),
        r"`m` depends on `x`, which is continuous\. Depend on a Choice or an Int\.",
    ),
    (
        lambda: Space({"a": When({"b": 1}, Int(1, 2)), "b": When({"a": 1}, Int(1, 2))}),
        r"The conditions of `a`, `b` form a circle: each waits",
    ),
    (lambda: Space({"a": When({"a": 1}, Int(1, 2))}), r"The conditions of `a` form a circle"),
    (
        lambda: Space({"a": [1], "b": [1], "c": When({"a": 1}, When({"b": 1}, Int(1, 2)))}),
        r"`c` depends on `b` and on another parameter, but `b` does not .*Conditions must nest",
    ),
]
JSON = [
    (
        lambda: Space({"a": {"type": "flot"}}),
        r"`a`: the type 'flot' is not one of float, int, choice, switch, repeat, when, group",
    ),
    (lambda: Space({"a": {"type": "float", "low": 1}}), r"`a`: \{'type': 'float', 'low': 1\} lacks 'high'\."),
    (lambda: Space({"a": {"type": "float", "low": 2, "high": 1}}), r"`a`: Float\(2, 1\): low is above high"),
    (
        lambda: Space({"a": {"type": "int", "low": 1, "high": 3, "lag": 1}}),
        r"`a`: .* an? int has no 'lag'; it has belief, default, high",
    ),
    (lambda: Space({"a": {"type": "choice"}}), r"`a`: \{'type': 'choice'\} lacks 'options'"),
    (lambda: Space({"a": {"type": "choice", "options": "ab"}}), r"the options must be a list"),
    (
        lambda: Space({"a": {"type": "choice", "options": [{"x": 1}]}}),
        r"Unknown form of an option: \{'x': 1\}\. Write a string",
    ),
    (lambda: Space({"a": {"type": "choice", "options": [{"x": 1, "y": 2}]}}), r"Unknown form of an option"),
    (lambda: Space({"a": {"type": "repeat", "low": 1}}), r"`a`: .* lacks 'high'"),
    (
        lambda: Space({"a": {"type": "switch", "options": {"x": 3}}}),
        r"`a`: Switch: the option 'x' has 3 for its parameters",
    ),
    (lambda: Space({"a": {"type": "group", "children": 3}}), r"`a` must be a dict of parameters, and is 3\."),
    (
        lambda: Space.from_json({"a": 1}),
        r"\{'a': 1\} is no space\. Write \{'parameters': \{name: \{'type': …\}\}\}\.",
    ),
]
CONFIGS = [
    (lambda: SPACE.complete({**GOOD, "lrr": 1}), r"There is no parameter `lrr`\. Did you mean `lr`\?"),
    (
        lambda: SPACE.complete({**GOOD, "opt": {"name": "sgd", "mom": 1}}),
        r"There is no parameter `opt\.sgd\.mom`\. Did you mean `opt\.sgd\.momentum`\?",
    ),
    (
        lambda: SPACE.complete({**GOOD, "lr": 5}),
        r"`lr`: 5 is not in Float\(1e-05, 0\.1, log=True\)\. Pass a number from 1e-05 to 0\.1\.",
    ),
    (lambda: SPACE.complete({**GOOD, "lr": np.float64("nan")}), r"`lr`: nan is not a finite number"),
    (lambda: SPACE.complete({**GOOD, "lr": "fast"}), r"`lr`: 'fast' \(str\) is not a finite number"),
    (lambda: SPACE.complete({**GOOD, "lr": None}), r"`lr`: None \(NoneType\) is not a finite number"),
    (
        lambda: SPACE.complete({**GOOD, "n": Decimal("1.5")}),
        r"`n`: Decimal\('1\.5'\) is not a whole number\. Pass a whole number from 1 to 3\.",
    ),
    (
        lambda: SPACE.complete({**GOOD, "big": 5}),
        r"`big`: 5 is not in Int\(1, 100, step=3\)\. Pass a whole number from 1 to 100, in steps of 3\.",
    ),
    (
        lambda: SPACE.complete({**GOOD, "net": {"kind": "rnn"}}),
        r"`net\.kind`: 'rnn' is none of the options \['cnn', 'mlp'\]\. Pass one",
    ),
    (
        lambda: SPACE.complete({**GOOD, "net": "cnn"}),
        r"`net` is 'cnn', but stands for several parameters\. Pass a dict of them\.",
    ),
    (
        lambda: SPACE.complete({**GOOD, "opt": "lion"}),
        r"`opt`: 'lion' is none of the options \['sgd', 'adam'\]",
    ),
    (
        lambda: SPACE.complete({**GOOD, "opt": {"name": "lion", "lr": 3}}),
        r"`opt`: 'lion' is none of the options \['sgd', 'adam'\]",
    ),
    (lambda: SPACE.complete({**GOOD, "opt": {"name": ["sgd"]}}), r"`opt`: \['sgd'\] is none of the options"),
    (
        lambda: SPACE.complete({**GOOD, "opt": {"momentum": 0.5}}),
        r"`opt`: \{'momentum': 0\.5\} lacks 'name', the option: one of \['sgd', 'adam'\]",
    ),
    (
        lambda: SPACE.complete({**GOOD, "opt.sgd.momentum": 0.5}),
        r"`opt\.sgd\.momentum`=0\.5 cannot be: .* where `opt` is 'sgd', and that is 'adam'\. Leave it",
    ),
    (
        lambda: SPACE.complete({**GOOD, "opt.sgd.inner.x.y": 1}),
        r"cannot be: it exists only where `opt` is 'sgd', and that is 'adam'",
    ),
    (
        lambda: SPACE.complete({**GOOD, "layers": 2, "layers.2.units": 3, "layers.0.units": 1, "layers.1.units": 1}),
        r"`layers\.2\.units`=3 cannot be: it exists only where `layers` is 3, and that is 2",
    ),
    (
        lambda: SPACE.complete({**GOOD, "layers": [{"units": 1}] * 4}),
        r"`layers`: 4 is not in Int\(1, 3\)\. Pass a whole number from 1 to 3\.",
    ),
    (lambda: SPACE.complete({**GOOD, "layers": [3]}), r"`layers\.0` is 3, but stands for several parameters"),
    (lambda: SPACE.complete({"lr": 0.1}), r"`opt` is missing, and has no default\. Pass a value for it\."),
    (
        SPACE.enumeration,
        r"`lr` is continuous: a grid needs its levels, as in searchers\.Grid\(levels=5\), Grid\(levels=\{'lr': 5\}\) or .*\[values\]",
    ),
    (
        lambda: SPACE.enumeration({"lrr": 5}),
        r"`lrr` is given levels, but is not a parameter\. Did you mean `lr`\?",
    ),
    (lambda: SPACE.enumeration({"lr": [5]}), r"`lr`: the level 5 is not in Float\(1e-05, 0\.1, log=True\)"),
    (lambda: SPACE.enumeration({"lr": []}), r"`lr` is given no levels\. Pass at least one value\."),
    (lambda: SPACE.enumeration(0), r"`lr`: 0 levels are none\. Pass at least 1\."),
]
GROWTH = [
    (
        lambda: SPACE.grown("lr", Int(1, 3)),
        r"`lr` was Float\(.*\) and is now asked for as Int\(1, 3\), which is of another kind\. Use another",
    ),
    (lambda: SPACE.grown("n", Choice([1])), r"`n` was Int\(1, 3\) and is now asked for as Choice\(\[1\]\)"),
    (
        lambda: SPACE.grown("net.kind", Choice(["rnn"])),
        r"`net\.kind` is Choice\(.*\) in the space that you gave, and is now asked for as Choice",
    ),
    (
        lambda: SPACE.grown("opt", Choice(["sgd", "lion"])),
        r"`opt` is .* Only parameters at the top grow by themselves: change the space, or use another name\.",
    ),
    (
        lambda: Int(1, 2).widened(Float(1, 2)),
        r"Int\(1, 2\) and Float\(1, 2\) are of different kinds\. Give one of them another name\.",
    ),
    (lambda: Choice([1]).widened(Int(1, 2)), r"Choice\(\[1\]\) and Int\(1, 2\) are of different kinds"),
]


@pytest.mark.parametrize(
    ("make", "message"),
    RANGES + DEFAULTS + CHOICES + STRUCTURE + JSON + CONFIGS + GROWTH,
    ids=lambda case: case[:40] if isinstance(case, str) else "-",
)
def test_bad_input_is_refused_with_what_was_wrong_and_what_to_do(make, message):
    with pytest.raises(SpaceError, match=message):
        make()
