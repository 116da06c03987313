"""Spaces: configs, conditions, JSON, equality, growth."""

import copy
import json
import pickle
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_spaces import finite, infinite, spaces

from tuneful.errors import SpaceError
from tuneful.space import Bool, Choice, Float, Int, Log, Repeat, Space, Switch, When
from tuneful.space.beliefs import Normal

calm = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def drawn(space, seed=0, n=4):
    return space.draw(np.random.default_rng(seed).random((n, len(space))))


def same(a, b):
    """Whether two options are alike, also where one is NaN, and 1, True and 1.0 are told apart."""
    return repr(a) == repr(b) and type(a) is type(b)


DEEP = Space(
    {
        "optimizer": Switch(
            {
                "sgd": {
                    "lr": Log(1e-3, 1, default=0.1),
                    "momentum": Switch({"none": {}, "heavy": {"beta": Float(0, 0.99)}}),
                },
                "adam": {"lr": Log(1e-5, 1e-2)},
            },
            default="sgd",
            weights=[1, 2],
        ),
        "layers": Repeat(
            1,
            3,
            {"units": Int(16, 512, log=True), "drop": Bool(), "rate": When({"drop": True}, Float(0, 0.5))},
            default=2,
        ),
        "net": {"kind": ["cnn", "mlp"], "deep": {"er": Int(1, 3)}},
        "kernel": When({"net.kind": "cnn"}, {"size": Int(1, 7, step=2), "pads": Repeat(2, 2, Int(0, 3))}),
        "stride": When({"kernel.size": [3, 5, 7]}, Int(1, 2)),
        "shape": [(64, 32), [8], None, 1, 1.0, True, "1", float("inf"), {"a": (1, None)}],
    },
    ["layers[1].units <= layers[0].units", "layers[2].units <= layers[1].units"],
)


@calm
@given(spaces(), st.integers(0, 99))
def test_every_config_goes_to_json_to_a_row_and_to_params_and_back(space, seed):
    for row in drawn(space, seed):
        config = space.config(row)
        stored = json.loads(json.dumps(config))
        assert same(stored, config)
        assert space.row(stored).tobytes() == row.tobytes()
        params = space.nested(config)
        assert same(space.complete(params), config)
        assert same(space.complete(config), config)
        assert same(space.nested(space.complete(params)), params)


@calm
@given(spaces(), st.integers(0, 99))
def test_json_gives_the_same_space_again(space, seed):
    text = json.dumps(space.to_json(), allow_nan=False)
    again = Space.from_json(json.loads(text))
    assert again == space
    assert hash(again) == hash(space)
    assert json.dumps(again.to_json(), allow_nan=False) == text
    rows = drawn(space, seed)
    assert drawn(again, seed).tobytes() == rows.tobytes()
    for row in rows:
        assert same(again.nested(again.config(row)), space.nested(space.config(row)))
    assert same(again.default, space.default)


@calm
@given(spaces(), st.integers(0, 99))
def test_copies_are_equal_and_draw_alike(space, seed):
    space.nested(space.config(drawn(space)[0]))  # fills what is computed once
    for twin in (
        copy.deepcopy(space),
        pickle.loads(pickle.dumps(space)),
        cloudpickle.loads(cloudpickle.dumps(space)),
    ):
        assert twin == space
        assert hash(twin) == hash(space)
        assert drawn(twin, seed).tobytes() == drawn(space, seed).tobytes()


@calm
@given(spaces(), st.integers(0, 99))
def test_parameters_exist_exactly_under_their_conditions(space, seed):
    for row in drawn(space, seed):
        config = space.config(row)
        for parameter in space.parameters:
            expected = True
            if parameter.parent is not None:
                path = space.parameters[parameter.parent].path
                expected = path in config and any(same(config[path], value) for value in parameter.among)
            assert (parameter.path in config) == expected


@pytest.mark.parametrize("seed", range(20))
def test_conditions_hold_at_any_depth(seed):
    for row in drawn(DEEP, seed, 20):
        config = DEEP.config(row)
        params = DEEP.nested(config)
        assert same(DEEP.complete(params), config) if DEEP.satisfies(config) else True
        assert len(params["layers"]) == config["layers"]
        assert all(("rate" in layer) == layer["drop"] for layer in params["layers"])
        assert ("kernel" in params) == (params["net"]["kind"] == "cnn")
        assert ("stride" in params) == ("kernel" in params and params["kernel"]["size"] > 1)
        assert ("beta" in params["optimizer"].get("momentum", {})) == (config.get("optimizer.sgd.momentum") == "heavy")


def test_conditions_may_look_into_switches_and_repeats():
    space = Space(
        {
            "opt": Switch({"sgd": {"nesterov": Bool()}, "adam": {}}),
            "layers": Repeat(1, 2, {"kind": ["dense", "conv"]}),
            "slope": When({"opt.sgd.nesterov": True}, Float(0, 1)),
            "size": When({"layers.1.kind": "conv"}, Int(1, 7)),
        }
    )
    base = {"opt": "sgd", "layers": 1, "layers.0.kind": "conv"}
    assert space.complete({**base, "opt.sgd.nesterov": True, "slope": 0.5})["slope"] == 0.5
    assert "slope" not in space.complete({**base, "opt.sgd.nesterov": False})
    assert space.complete({"opt": "adam", "layers": [{"kind": "dense"}, {"kind": "conv"}], "size": 3})["size"] == 3
    with pytest.raises(SpaceError, match=r"`size`=3 cannot be: it exists only where `layers` is 2, and that is 1"):
        space.complete({"opt": "adam", "layers": [{"kind": "conv"}], "size": 3})


def test_conditions_may_name_an_option_that_is_a_list():
    space = Space({"shape": [(64, 32), [8], None], "wide": When({"shape": (64, 32)}, Bool())})
    assert space.parameters[1].among == ("(64, 32)",)
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_what_the_objective_gets_is_the_option_itself():
    thing = object()
    choice = Choice({"thing": thing, "half": np.float32(0.5)})
    assert choice.to_object("thing") is thing
    assert choice.to_object("half") == 0.5
    assert type(choice.to_object("half")) is float
    assert Int(1, 3).to_object(2) == 2


def test_the_same_space_at_depth_survives_everything():
    for twin in (
        Space.from_json(json.loads(json.dumps(DEEP.to_json(), allow_nan=False))),
        *(pickle.loads(pickle.dumps(DEEP)), copy.deepcopy(DEEP)),
    ):
        assert twin == DEEP
        assert hash(twin) == hash(DEEP)
        assert [c.text for c in twin.constraints] == [c.text for c in DEEP.constraints]
        assert twin["shape"].options == DEEP["shape"].options
        assert twin.feasible(drawn(DEEP, n=50)).tolist() == DEEP.feasible(drawn(DEEP, n=50)).tolist()


def test_params_may_be_nested_by_path_or_mixed():
    space = Space(
        {
            "opt": Switch({"sgd": {"lr": Log(1e-3, 1), "m": Float(0, 1, default=0.5)}, "adam": {}}),
            "a": {"b": Int(1, 3)},
        }
    )
    wanted = {"opt": "sgd", "opt.sgd.lr": 0.1, "opt.sgd.m": 0.5, "a.b": 2}
    assert space.complete({"opt": {"name": "sgd", "lr": 0.1}, "a": {"b": 2}}) == wanted
    assert space.complete({"opt": "sgd", "opt.sgd.lr": 0.1, "a.b": 2}) == wanted
    assert space.complete({"opt": {"name": "sgd"}, "opt.sgd.lr": 0.1, "a": {"b": 2.0}}) == wanted
    layers = Space({"layers": Repeat(1, 3, {"units": Int(1, 9)})})
    assert layers.complete({"layers": 1, "layers.0.units": 4}) == layers.complete({"layers": [{"units": 4}]})


def test_options_may_be_given_as_objects_equal_to_them():
    space = Space({"shape": {"type": "choice", "options": [{"label": "small", "value": {"tuple": [8, 8]}}, [1, 2]]}})
    assert space.complete({"shape": (8, 8)}) == space.complete({"shape": "small"}) == {"shape": "small"}
    assert space.nested({"shape": "small"}) == {"shape": (8, 8)}
    assert space.complete({"shape": [1, 2]}) == {"shape": "[1, 2]"}
    assert Space({"n": [1, 2.5]}).complete({"n": 1.0}) == {"n": 1}


def test_what_is_left_out_takes_its_default_or_a_draw():
    space = Space({"a": Int(1, 9, default=3), "b": Float(0, 1), "c": When({"a": 3}, Bool())})
    assert space.complete({}, np.array([0.9, 0.25, 0.9])) == {"a": 3, "b": 0.25, "c": True}
    assert space.default is None
    assert Space({"a": Int(1, 9, default=3), "c": When({"a": 4}, Bool())}).default == {"a": 3}
    assert Space({}, open=True).default is None
    assert DEEP["optimizer"].default == "sgd"


def test_spaces_differ_when_anything_differs():
    spec = {"a": Float(0, 1), "b": ["x", "y"]}
    others = [
        {"a": Float(0, 2), "b": ["x", "y"]},
        {"a": Float(0, 1, default=0.5), "b": ["x", "y"]},
        {"a": Float(0, 1, belief=Normal(0, 1)), "b": ["x", "y"]},
        {"a": Float(0, 1), "b": ["y", "x"]},
        {"a": Float(0, 1), "b": Choice(["x", "y"], ordered=True)},
        {"a": Float(0, 1), "b": Choice(["x", "y"], weights=[1, 2])},
        {"a": Float(0, 1), "b": Choice(["x", "y"], default="x")},
        {"a": Float(0, 1), "b": Switch({"x": {}, "y": {}})},
        {"b": ["x", "y"], "a": Float(0, 1)},
        {"a": Int(0, 1), "b": ["x", "y"]},
    ]
    space = Space(spec)
    assert space == Space(dict(spec))
    assert all(Space(other) != space for other in others)
    assert Space(spec, ["a < 0.5"]) != space
    assert Space(spec, open=True) != space
    assert Space({"a.b": Int(1, 2)}) != Space({"a": {"b": Int(1, 2)}})
    assert Space({"a": [1, 2]}) != Space({"a": [1.0, 2.0]})
    assert space != "a space"


def test_a_space_says_what_it_is():
    space = Space({f"p{i}": Float(0, 1) for i in range(8)})
    assert repr(space).endswith("p5=Float(0, 1), … 2 more)")
    assert len(space) == 8
    assert "p7" in space
    assert "p8" not in space
    assert space.categorical.tolist() == [False] * 8
    assert Space({"a": Choice([1, 2], ordered=True), "b": [1, 2]}).categorical.tolist() == [False, True]


def test_arrays_of_no_parameters_stay_empty():
    space = Space({}, open=True)
    assert space.decode(np.empty((3, 0))).shape == space.draw(np.empty((3, 0))).shape == (3, 0)
    assert space.config(np.empty(0)) == {}


def test_a_growing_space_takes_the_union_of_ranges_and_options():
    space = Space({}, open=True).grown("lr", Float(0, 1)).grown("n", Int(1, 4)).grown("opt", Choice(["a", "b"]))
    assert space.paths == ("lr", "n", "opt")
    assert space.grown("lr", Float(0, 1)) is space
    assert space.grown("lr", Float(0.5, 2))["lr"] == Float(0, 2)
    assert space.grown("n", Int(-2, 3))["n"] == Int(-2, 4)
    assert space.grown("opt", Choice(["c", "b"]))["opt"] == Choice(["a", "b", "c"])
    assert space.grown("lr", Float(0.5, 0.6)).grown("lr", Float(0.5, 0.6))["lr"] == Float(0, 1)
    assert space.size == float("inf")
    assert space.grown("lr", Float(0, 3)).open


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 5)), min_size=1, max_size=6),
    st.sampled_from([Int, Float]),
)
def test_growth_ends_with_the_union_whatever_the_order(ranges, kind):
    space = Space({}, open=True)
    for low, width in ranges:
        space = space.grown("x", kind(low, low + width))
    assert (space["x"].low, space["x"].high) == (
        min(low for low, _ in ranges),
        max(low + w for low, w in ranges),
    )


@pytest.mark.parametrize(
    ("old", "new", "wide"),
    [
        (Int(0, 10, step=5), Int(5, 20, step=5), Int(0, 20, step=5)),
        (Int(0, 10, step=5), Int(4, 12, step=4), Int(0, 12)),
        (Int(0, 10, step=5), Int(1, 21, step=5), Int(0, 21)),
        (Float(0, 1), Log(0.1, 2), Float(0, 2)),
        (Log(1e-3, 1), Log(1e-5, 1e-2, default=1e-4), Log(1e-5, 1, default=1e-4)),
        (Int(1, 3**30, log=True, step=3), Int(1, 5, log=True), Int(1, 3**30)),
        (
            Choice([1, 2], weights=[1, 2]),
            Choice([2, 3], weights=[5, 6], default=3),
            Choice([1, 2, 3], weights=[0, 5, 6], default=3),
        ),
    ],
    ids=str,
)
def test_wider_domains_keep_the_newer_settings(old, new, wide):
    assert old.widened(new) == wide
    assert new.widened(new) == new


def test_growth_keeps_conditions_constraints_and_what_code_knows():
    space = Space({"a": Int(1, 3), "b": When({"a": 2}, Float(0, 1)), "c": {"d": Int(1, 3)}}, ["a <= 2"], open=True)
    grown = space.grown("b", Float(0, 2))
    assert grown["b"] == Float(0, 2)
    assert grown.parameters[2].among == (2,)
    assert grown.constraints == space.constraints
    assert space.grown("c.d", Int(1, 3)) is space
    small, large = object(), object()
    options = {"small": small, "large": large}
    stored = Space.from_json(json.loads(json.dumps(Space({"net": Choice(options)}).to_json())))
    with pytest.raises(SpaceError, match=r"'small' is an object of your code.*Pass the space again"):
        stored.nested({"net": "small"})
    assert stored.grown("net", Choice(options)).nested({"net": "small"})["net"] is small


def test_repeats_may_grow_from_one_count_to_many():
    old, new = (Space({"layers": Repeat(low, high, Int(1, 9))}) for low, high in ((2, 2), (1, 3)))
    assert old["layers"].widened(new["layers"]) == new["layers"]
    assert new["layers"].widened(old["layers"]).size == 3
    assert old.config(old.decode(np.array([[0.3, 0.5, 0.5]]))[0]) == {
        "layers": 2,
        "layers.0": 5,
        "layers.1": 5,
    }


def test_classes_functions_and_enums_are_imported_when_they_are_used(tmp_path, monkeypatch):
    (tmp_path / "tuneful_test_nets.py").write_text(
        "import enum\nclass Net:\n    class Inner: ...\ndef make(): ...\nclass Color(enum.Enum):\n    RED = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import tuneful_test_nets as nets

    options = [nets.Net, nets.Net.Inner, nets.make, nets.Color.RED, [nets.Net, 1], np.float32]
    labelled = {"one": nets.make, "two": (nets.make, nets.Net)}
    space = Space({"a": options, "b": Choice(labelled)})
    assert space["a"].labels[:4] == (
        *("tuneful_test_nets:Net", "tuneful_test_nets:Net.Inner"),
        *("tuneful_test_nets:make", "tuneful_test_nets:Color.RED"),
    )
    form = json.loads(json.dumps(space.to_json()))
    again = Space.from_json(form)
    assert again == space
    assert again.to_json() == form
    assert [again["a"].to_object(label) for label in again["a"].labels] == options
    assert [again["b"].to_object(label) for label in again["b"].labels] == list(labelled.values())
    assert again.complete({"a": nets.make, "b": "two"}) == {"a": "tuneful_test_nets:make", "b": "two"}
    text = json.dumps(form).replace("tuneful_test_nets", "tuneful_no_such_module")
    gone = Space.from_json(json.loads(text))  # opening a study must not need what its options need
    with pytest.raises(SpaceError, match=r"'tuneful_no_such_module:make' cannot be imported .* Pass the space in code"):
        gone.nested({"a": "tuneful_no_such_module:make"})


def test_loading_the_package_does_not_load_scipy():
    code = "import sys, tuneful.space; assert not [m for m in sys.modules if m.startswith('scipy')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_system_settings_may_be_options_but_not_parameters():
    assert Space({"what": ["num_workers", "pin_memory"]}).size == 2


@calm
@given(st.one_of(finite, infinite))
def test_domains_survive_json_pickling_and_copying(domain):
    twins = [
        Space.from_json(json.loads(json.dumps(Space({"x": domain}).to_json(), allow_nan=False)))["x"],
        pickle.loads(pickle.dumps(domain)),
        copy.deepcopy(domain),
    ]
    for twin in twins:
        assert twin == domain
        assert hash(twin) == hash(domain)
        assert str(twin) == str(domain)
        assert twin.size == domain.size
        assert same(twin.levels(3), domain.levels(3))
