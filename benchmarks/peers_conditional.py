"""Peers that know conditions: Optuna, Rustuna, Hyperopt and SMAC."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from driving import Asked
from problems import Problem

from tuneful.space import Choice, Float, Space
from tuneful.space.structure import Parameter


def optuna(sampler: str) -> Callable[[Problem, int, int], Optuna]:
    """Optuna with one of its samplers."""

    def start(problem: Problem, seed: int, _trials: int) -> Optuna:
        return Optuna(sampler, problem, seed)

    return start


class Optuna:
    def __init__(self, sampler: str, problem: Problem, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.failed = optuna.trial.TrialState.FAIL
        self.space = problem.space
        self.study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))

    def ask(self) -> Asked:
        trial = self.study.ask()
        return Asked(trial, suggested(trial, self.space))

    def tell(self, asked: Asked, loss: float | None) -> None:
        if loss is None:
            self.study.tell(asked.token, state=self.failed)
        else:
            self.study.tell(asked.token, loss)


class Rustuna:
    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import rustuna

        self.failed = rustuna.trial.TrialState.FAIL
        self.space = problem.space
        self.study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=seed))

    def ask(self) -> Asked:
        trial = self.study.ask()
        return Asked(trial.number, suggested(trial, self.space))

    def tell(self, asked: Asked, loss: float | None) -> None:
        if loss is None:
            self.study.tell(asked.token, state=self.failed)
        else:
            self.study.tell(asked.token, loss)


def suggested(trial: Any, space: Space) -> dict[str, Any]:
    """The params that a trial of Optuna or Rustuna suggests, one after the other."""
    config: dict[str, Any] = {}
    for parameter in space.parameters:
        if exists(parameter, space, config):
            path, domain = parameter.path, parameter.domain
            if isinstance(domain, Choice):
                config[path] = trial.suggest_categorical(path, list(domain.labels))
            elif isinstance(domain, Float):
                config[path] = trial.suggest_float(path, domain.low, domain.high, log=domain.log)
            else:
                config[path] = trial.suggest_int(path, int(domain.low), int(domain.high), log=domain.log)
    return space.nested(config)


def exists(parameter: Parameter, space: Space, config: Mapping[str, Any]) -> bool:
    """Whether a parameter exists beside those in `config`."""
    if parameter.parent is None:
        return True
    parent = space.parameters[parameter.parent].path
    return parent in config and config[parent] in parameter.among


def params_of(space: Space, found: Mapping[str, Any]) -> dict[str, Any]:
    """The params of values by path, without those that do not exist; numbers as what the space holds."""
    config: dict[str, Any] = {}
    for parameter in space.parameters:
        if exists(parameter, space, config):
            value, domain = found[parameter.path], parameter.domain
            if isinstance(domain, Choice):
                config[parameter.path] = next(label for label in domain.labels if label == value)
            else:
                number = min(max(value, domain.low), domain.high)
                config[parameter.path] = float(number) if isinstance(domain, Float) else round(number)
    return space.nested(config)


def never_called(config: Any, seed: int = 0) -> float:
    """The objective of libraries that want one even for ask and tell."""
    raise NotImplementedError


class Worst:
    """The loss to tell to those who know no failures: a trial that failed is as bad as the worst so far."""

    def __init__(self) -> None:
        self.seen = -np.inf

    def __call__(self, loss: float | None) -> float:
        if loss is not None:
            self.seen = max(self.seen, loss)
            return loss
        return float(self.seen) if np.isfinite(self.seen) else 1.0


class Hyperopt:
    """A parameter with others under it is a choice of its values, which is how Hyperopt says that."""

    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import hyperopt

        self.hyperopt, self.space = hyperopt, problem.space
        self.nodes: dict[int, Any] = {}
        places = range(len(self.space))
        self.form = {i: self._node(i) for i in places if self.space.parameters[i].parent is None}
        self.domain = hyperopt.base.Domain(never_called, self.form)
        self.trials = hyperopt.Trials()
        self.rng = np.random.default_rng(seed)

    def ask(self) -> Asked:
        ids = self.trials.new_trial_ids(1)
        [trial] = self.hyperopt.tpe.suggest(ids, self.domain, self.trials, int(self.rng.integers(2**31)))
        values = {name: found[0] for name, found in trial["misc"]["vals"].items() if found}
        config = dict(_leaves(self.hyperopt.space_eval(self.form, values)))
        return Asked(trial, params_of(self.space, {self.space.paths[i]: value for i, value in config.items()}))

    def tell(self, asked: Asked, loss: float | None) -> None:
        trial, state = asked.token, self.hyperopt
        trial["state"] = state.JOB_STATE_DONE
        trial["result"] = {"status": state.STATUS_FAIL} if loss is None else {"status": state.STATUS_OK, "loss": loss}
        self.trials.insert_trial_docs([trial])
        self.trials.refresh()

    def _node(self, place: int) -> Any:
        if place not in self.nodes:  # one that exists under two options is one node
            self.nodes[place] = self._built(place)
        return self.nodes[place]

    def _built(self, place: int) -> Any:
        hp, parameter = self.hyperopt.hp, self.space.parameters[place]
        path, domain = parameter.path, parameter.domain
        under = [i for i, child in enumerate(self.space.parameters) if child.parent == place]
        if isinstance(domain, Choice) or under:
            among = {i: self.space.parameters[i].among for i in under}
            return hp.choice(
                path, [{place: v, **{i: self._node(i) for i in under if v in among[i]}} for v in domain.levels()]
            )
        if isinstance(domain, Float):
            low, high = (np.log(domain.low), np.log(domain.high)) if domain.log else (domain.low, domain.high)
            return (hp.loguniform if domain.log else hp.uniform)(path, low, high)
        if domain.log:
            return hp.qloguniform(path, np.log(domain.low), np.log(domain.high), 1)
        return hp.uniformint(path, int(domain.low), int(domain.high))


def _leaves(form: Mapping[int, Any]) -> list[tuple[int, Any]]:
    """The values of a nest of dicts."""
    found = []
    for place, value in form.items():
        found += _leaves(value) if isinstance(value, dict) else [(place, value)]
    return found


class Smac:
    """The facade for hyperparameters: a forest, with ConfigSpace's conditions."""

    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import smac

        self.space, self.worst = problem.space, Worst()
        scenario = smac.Scenario(
            configspace(problem.space, seed),
            deterministic=True,
            n_trials=trials,
            seed=seed,
            output_directory=tempfile.mkdtemp(prefix="smac-"),
        )
        self.facade = smac.HyperparameterOptimizationFacade(scenario, never_called, overwrite=True, logging_level=50)

    def ask(self) -> Asked:
        info = self.facade.ask()
        return Asked(info, params_of(self.space, dict(info.config)))

    def tell(self, asked: Asked, loss: float | None) -> None:
        from smac.runhistory import TrialValue

        self.facade.tell(asked.token, TrialValue(cost=self.worst(loss), time=0.0))


def configspace(space: Space, seed: int) -> Any:
    """The space in SMAC's words."""
    import ConfigSpace

    found = ConfigSpace.ConfigurationSpace(seed=seed)
    made = []
    for path, domain in ((parameter.path, parameter.domain) for parameter in space.parameters):
        if isinstance(domain, Choice):
            made.append(ConfigSpace.CategoricalHyperparameter(path, list(domain.labels)))
        elif isinstance(domain, Float):
            made.append(ConfigSpace.UniformFloatHyperparameter(path, domain.low, domain.high, log=domain.log))
        else:
            low, high = int(domain.low), int(domain.high)
            made.append(ConfigSpace.UniformIntegerHyperparameter(path, low, high, log=domain.log))
    found.add(made)
    found.add(
        [
            ConfigSpace.InCondition(made[i], made[parameter.parent], list(parameter.among))
            for i, parameter in enumerate(space.parameters)
            if parameter.parent is not None
        ]
    )
    return found
