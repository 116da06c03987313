"""How objectives are called: by name, with the trial, with everything in one."""

import dataclasses
import functools
import operator
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest

import tuneful as tn
from tuneful.errors import ObjectiveError, SpaceError
from tuneful.objective import bind, signature_spec, space_of, takes_trial
from tuneful.space import Float, Int, Log, Repeat, Space, Switch, When

LR, UNITS = Log(1e-5, 1e-1), Int(1, 9)
SPACE = Space({"lr": LR, "units": UNITS})
PARAMS = {"lr": 0.01, "units": 3}


def called(objective, params=None, space=SPACE, settings=None):
    """What an objective gets from a trial, and the trial."""
    trial = SimpleNamespace(params=dict(PARAMS if params is None else params), settings=settings or {})
    return bind(objective, space, settings or {})(trial), trial


def refused(objective, space=SPACE, settings=()):
    with pytest.raises(ObjectiveError) as caught:
        bind(objective, space, settings)
    return str(caught.value)


@dataclasses.dataclass
class Inner:
    depth: Annotated[int, Int(1, 5)] = 2


@dataclasses.dataclass
class Config:
    lr: Annotated[float, LR] = 1e-3
    units: Annotated[int, UNITS] = 4
    inner: Inner = dataclasses.field(default_factory=Inner)
    note: str = "as it is"


@dataclasses.dataclass
class Needy:
    lr: Annotated[float, LR]
    path: str


def of_lr(lr):
    return lr


# By name


def test_parameters_are_passed_by_name():
    def train(units, lr):
        return lr, units

    assert called(train)[0] == (0.01, 3)


def test_keyword_parameters_take_everything():
    def train(**params):
        return params

    assert called(train)[0] == PARAMS


def test_what_is_not_named_may_go_to_keywords():
    def train(lr, *args, **rest):
        return lr, args, rest

    assert called(train)[0] == (0.01, (), {"units": 3})


def test_what_is_not_in_the_space_keeps_its_default():
    def train(lr, units, epochs=5):
        return epochs

    assert called(train)[0] == 5


def test_groups_switches_and_repeats_are_passed_in_their_shape():
    space = Space({"opt": Switch({"sgd": {"m": Float(0, 1)}}), "layers": Repeat(1, 2, UNITS), "net": {"p": UNITS}})
    params = {"opt": {"name": "sgd", "m": 0.5}, "layers": [3, 4], "net": {"p": 1}}

    def train(opt, layers, net):
        return {"opt": opt, "layers": layers, "net": net}

    assert called(train, params, space)[0] == params


def test_a_parameter_that_is_missing_in_the_signature_is_an_error_by_name():
    assert "of_lr() does not take `units`, which the space varies" in refused(of_lr)


def test_a_parameter_that_nothing_gives_is_an_error_by_name():
    def train(lr, units, data):
        return 0

    message = refused(train)
    assert "train() needs `data`, which nothing gives" in message
    assert "settings={'data': …}" in message


def test_a_parameter_that_is_passed_by_position_only_is_an_error_by_name():
    def train(lr, /, units):
        return 0

    assert "takes `lr` by position only" in refused(train)


# Conditions

CONDITIONAL = Space({"opt": ["sgd", "adam"], "momentum": When({"opt": "sgd"}, Float(0, 1))})


def test_a_parameter_under_a_condition_needs_a_default():
    def train(opt, momentum):
        return 0

    assert "needs `momentum`, which exists only under a condition" in refused(train, CONDITIONAL)


def test_a_parameter_that_does_not_exist_keeps_its_default():
    def train(opt, momentum=None):
        return momentum

    assert called(train, {"opt": "adam"}, CONDITIONAL)[0] is None
    assert called(train, {"opt": "sgd", "momentum": 0.5}, CONDITIONAL)[0] == 0.5


# The trial


def test_the_trial_is_passed_to_who_asks_for_it():
    def alone(trial):
        return trial

    def beside(lr, trial):
        return trial, lr

    found, trial = called(alone)
    assert found is trial
    (found, lr), trial = called(beside)
    assert (found, lr) == (trial, 0.01)


def annotated(t: tn.Trial):
    return t


def in_text(t: "tn.Trial"):
    return t


def elsewhere(t: "optuna.Trial"):  # noqa: F821 - need not be imported
    return t


def unannotated(t):
    return t


def by_position(trial, /):
    return trial


def by_position_and_name(trial, /, lr, units):
    return trial


@pytest.mark.parametrize("objective", [annotated, in_text, elsewhere, by_position, by_position_and_name])
def test_the_trial_is_known_by_its_name_or_its_annotation(objective):
    assert takes_trial(objective)
    found, trial = called(objective)
    assert found is trial


def test_parameters_beside_the_trial_vary_also_where_they_have_defaults():
    def train(t: tn.Trial, lr=0.5, units=1):
        return lr, units

    assert called(train)[0] == (0.01, 3)


@pytest.mark.parametrize("objective", [of_lr, unannotated, max, 7])
def test_what_does_not_ask_for_the_trial_does_not_get_it(objective):
    assert not takes_trial(objective)


# Settings


def test_settings_are_passed_to_who_asks_for_them():
    def train(lr, units, num_workers, pin_memory=False):
        return num_workers, pin_memory

    assert called(train, settings={"num_workers": 4})[0] == (4, False)
    assert called(train, settings={"num_workers": 4, "pin_memory": True, "other": 1})[0] == (4, True)
    assert "needs `num_workers`" in refused(train)


# Everything in one


@pytest.mark.parametrize("name", ["config", "cfg", "params"])
def test_a_dict_of_everything_goes_to_its_name(name):
    namespace: dict[str, Any] = {}
    exec(f"def train({name}, epochs=3): return {name}, epochs", namespace)
    assert called(namespace["train"])[0] == (PARAMS, 3)


def test_a_dict_of_everything_may_stand_beside_parameters_the_trial_and_settings():
    def train(config, lr, trial, num_workers=0):
        return config, lr, num_workers

    assert called(train, settings={"num_workers": 2})[0] == (PARAMS, 0.01, 2)


def test_a_parameter_of_the_space_may_be_called_config():
    def train(config):
        return config

    assert called(train, {"config": 3}, Space({"config": UNITS}))[0] == 3


NESTED = {"lr": 0.01, "units": 3, "inner": {"depth": 5}}


class Objective:
    def __call__(self, config: Config):
        return config

    def method(self, config: Config):
        return config

    @staticmethod
    def static(config: Config):
        return config

    @classmethod
    def of_class(cls, config: Config):
        return config


def with_trial(cfg: Config, trial):
    return cfg


def with_annotated_trial(t: tn.Trial, cfg: Config):
    return cfg


def with_more(cfg: Config, epochs: int = 3):
    return cfg


@pytest.mark.parametrize(
    "objective",
    [
        *(Objective(), Objective().method, Objective.static, Objective.of_class),
        *(with_trial, with_annotated_trial, with_more, functools.partial(with_more, epochs=2)),
    ],
)
def test_a_dataclass_is_built_with_its_own_defaults_for_the_rest(objective):
    space = space_of(objective, Config)
    assert called(objective, NESTED, space)[0] == Config(0.01, 3, Inner(5), "as it is")


@pytest.mark.parametrize("objective", [with_more, functools.partial(with_more, epochs=2)])
def test_a_dataclass_beside_other_parameters_is_built_too(objective):
    space = space_of(objective)
    assert space.paths == ("cfg.lr", "cfg.units", "cfg.inner.depth")
    assert called(objective, {"cfg": NESTED}, space)[0] == Config(0.01, 3, Inner(5))


def test_a_dataclass_that_has_a_default_and_is_not_varied_stays_as_it_is():
    @dataclasses.dataclass
    class Options:
        verbose: bool = False

    def train(lr, units, options: Options = Options(verbose=True)):  # noqa: B008 - as users write
        return options.verbose

    assert called(train)[0] is True


def test_a_dataclass_must_have_what_the_space_varies_and_the_space_what_it_needs():
    def train(config: Needy):
        return config

    assert "has no field `units`, which the space varies" in refused(train, SPACE)
    assert "of which `path` is not in the space" in refused(train, Space({"lr": LR}))


# Other callables


def test_partials_keep_what_they_have_fixed():
    def train(data, lr, units, epochs):
        return data, lr, units, epochs

    assert called(functools.partial(train, "digits", epochs=7))[0] == ("digits", 0.01, 3, 7)


def test_methods_and_callable_objects_are_called_like_functions():
    class Objective:
        def __init__(self):
            self.scale = 10

        def __call__(self, lr, units):
            return self.scale * units

        method = __call__

    assert called(Objective())[0] == 30
    assert called(Objective().method)[0] == 30


def test_decorated_functions_are_called_by_the_names_of_what_they_wrap():
    def decorated(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    @decorated
    def train(lr, units):
        return lr

    assert called(train)[0] == 0.01


def test_a_builtin_that_hides_its_signature_gets_everything_by_name():
    assert called(dict)[0] == PARAMS


def test_a_builtin_that_takes_its_arguments_by_position_is_refused():
    assert "by position only" in refused(operator.neg)


@pytest.mark.parametrize("objective", [None, 7, "train", {"lr": 1}])
def test_what_cannot_be_called_is_refused(objective):
    assert "which cannot be called. Pass a function" in refused(objective)


# Where the space comes from


def declared(lr: Annotated[float, LR] = 1e-3, opt: Literal["adam", "sgd"] = "adam", epochs: int = 3):
    return lr


def test_the_space_is_the_one_given_else_that_of_the_signature():
    assert space_of(declared, SPACE) is SPACE
    assert space_of(declared, {"lr": LR}).paths == ("lr",)
    assert space_of(declared).paths == ("lr", "opt")
    assert space_of(declared).default == {"lr": 1e-3, "opt": "adam"}
    assert signature_spec(with_trial).keys() == {"lr", "units", "inner"}


def test_for_an_objective_that_asks_its_trial_the_space_grows():
    assert space_of(by_position) == Space({}, open=True)


def test_constraints_may_stand_beside():
    assert [c.text for c in space_of(declared, {"a": UNITS, "b": UNITS}, ("a < b",)).constraints] == ["a < b"]


def test_when_nothing_says_what_may_vary_that_is_an_error():
    with pytest.raises(ObjectiveError, match=r"Nothing says what of_lr\(\) may vary"):
        space_of(of_lr)
    with pytest.raises(SpaceError):
        space_of(declared, 7)


def test_in_a_study_all_of_it_works_together():
    def train(trial: tn.Trial, cfg: Config, bias: Annotated[float, Float(0, 1)] = 0.5, scale: int = 2):
        assert isinstance(cfg.inner, Inner)
        return scale * (cfg.lr + cfg.units + cfg.inner.depth + bias)

    study = tn.minimize(train, trials=8, seed=0, quiet=True, search="random")
    assert study.baseline.value == 2 * (1e-3 + 4 + 2 + 0.5)
    assert len({record.value for record in study.trials}) == 8
