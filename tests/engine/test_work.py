"""What travels to workers, and what is said of what cannot."""

import functools
import importlib.util
import sys
import threading

import pytest

import tuneful as tn
from tuneful.engine.work import Work, found_by_name, unpacked
from tuneful.errors import ObjectiveError


@pytest.fixture
def module(tmp_path):
    """A module from a file that is on no path, in `sys.modules` while the test runs."""
    made = []

    def load(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        found = importlib.util.module_from_spec(spec)
        made.append((name, sys.modules.get(name)))
        sys.modules[name] = found
        spec.loader.exec_module(found)
        return found

    yield load
    for name, before in made:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def sent(objective, **options):
    """What arrives in a process that knows no module that cannot be imported."""
    packed = Work("a.db", objective, **options).packed()
    for name in ("afar", "colorsys"):
        sys.modules.pop(name, None)
    return unpacked(packed)


TEXT = "K = 3\ndef helper(x):\n    return K * x\ndef objective(x):\n    return helper(x)\ndef bound(k, x):\n    return k * helper(x)\n"


def test_what_cannot_be_imported_travels_whole(module):
    assert sent(module("afar", TEXT).objective).objective(2) == 6
    afar = module("afar", TEXT)
    both = sent(functools.partial(functools.partial(afar.bound), 5), setup=afar.helper)
    assert both.objective(2) == 30
    assert both.setup(2) == 6


def test_a_module_that_hides_another_of_its_name_travels_whole(module):
    assert sent(module("colorsys", TEXT).objective).objective(2) == 6


def test_what_can_be_imported_travels_by_name():
    packed = Work("a.db", tn.Float).packed()
    assert unpacked(packed).objective is tn.Float
    assert len(packed) < 1_000


def test_the_rest_arrives_as_it_was():
    space = tn.Space({"x": tn.Float(0, 1), "o": tn.Choice({"a": object()})})
    work = Work("a.db#b", len, space, of="best", settings={"n": 1}, lease=3.0, trial_timeout=2.0, trial_memory=5)
    found = unpacked(work.packed())
    assert (found.address, found.of, found.settings) == ("a.db#b", "best", {"n": 1})
    assert (found.lease, found.trial_timeout, found.trial_memory) == (3.0, 2.0, 5)
    assert found.space.to_json() == space.to_json()


def made_of_lock():
    lock, other = threading.Lock(), 3

    def objective(x):
        return other and lock and x

    class Model:
        def __init__(self):
            self.held = lock

        def __call__(self, x):
            return x

        def method(self, x):
            return x

    return objective, Model()


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (made_of_lock()[0], r"^The objective objective\(\) cannot be sent to worker processes: it uses `lock` \(a lock\)"),
        (made_of_lock()[1], r"^The objective Model\(\) cannot be sent .*it uses `held` \(a lock\)"),
        (made_of_lock()[1].method, r"^The objective method\(\) cannot be sent .*it uses `held` \(a lock\)"),
        (functools.partial(made_of_lock()[0], 1), r"^The objective objective\(\) cannot be sent .*it uses `lock` \(a lock\)"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_named(objective, message):
    with pytest.raises(ObjectiveError, match=message) as found:
        Work("a.db", objective).packed()
    assert "Make it inside the function, or once per worker in setup=." in str(found.value)
    with pytest.raises(ObjectiveError, match=r"^The setup "):
        Work("a.db", len, setup=objective).packed()


def test_a_setting_that_cannot_travel_is_no_fault_of_the_objective():
    with pytest.raises(ObjectiveError, match=r"^The study cannot be sent to worker processes: .*pickle"):
        Work("a.db", len, prune=threading.Lock()).packed()


def test_what_is_missing_where_it_arrives_is_named(module):
    afar = module("afar", TEXT)
    with pytest.raises(ObjectiveError, match=r"cannot load the objective: ModuleNotFoundError: No module named 'afar'"):
        sent(lambda x: afar.helper(x))
    with pytest.raises(ObjectiveError, match="cannot load the objective"):
        unpacked(b"broken")


def test_an_objective_is_found_by_its_name(tmp_path, monkeypatch):
    assert found_by_name("math:sqrt")(9) == 3
    assert found_by_name("pathlib:Path.home")() == __import__("pathlib").Path.home()
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for name, message in {
        "train": "'train' names no objective. Write module:function",
        ":f": "names no objective",
        "nowhere_at_all:f": "cannot be imported: ModuleNotFoundError",
        "math:nothing": "cannot be imported: AttributeError",
        "math:pi": "is 3.14.*, which cannot be called",
        "broken_module:f": "cannot be imported: ZeroDivisionError",
    }.items():
        with pytest.raises(ObjectiveError, match=message):
            found_by_name(name)
