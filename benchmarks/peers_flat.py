"""Peers without conditions: they search all parameters, and those that do not exist are dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from driving import Asked
from peers_conditional import Worst, params_of
from problems import Problem

from tuneful.space import Choice, Float, Int

Domain = Choice | Float | Int


def skopt(model: str) -> Callable[[Problem, int, int], Skopt]:
    """Scikit-optimize with one of its models."""

    def start(problem: Problem, seed: int, _trials: int) -> Skopt:
        return Skopt(model, problem, seed)

    return start


class Skopt:
    def __init__(self, model: str, problem: Problem, seed: int) -> None:
        from skopt import Optimizer

        self.space, self.worst = problem.space, Worst()
        dimensions = [_dimension(parameter.domain) for parameter in self.space.parameters]
        self.optimizer = Optimizer(dimensions, base_estimator=model, random_state=seed)

    def ask(self) -> Asked:
        point = self.optimizer.ask()
        return Asked(point, params_of(self.space, dict(zip(self.space.paths, point, strict=True))))

    def tell(self, asked: Asked, loss: float | None) -> None:
        self.optimizer.tell(asked.token, self.worst(loss))


def _dimension(domain: Domain) -> Any:
    from skopt.space import Categorical, Integer, Real

    if isinstance(domain, Choice):
        return Categorical(list(domain.labels))
    kind = Real if isinstance(domain, Float) else Integer
    return kind(domain.low, domain.high, prior="log-uniform" if domain.log else "uniform")


class Nevergrad:
    """NGOpt, which picks an algorithm by the space and the number of trials."""

    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import nevergrad

        self.space, self.worst = problem.space, Worst()
        kinds = {parameter.path: self._kind(nevergrad.p, parameter.domain) for parameter in self.space.parameters}
        form = nevergrad.p.Dict(**kinds)
        form.random_state.seed(seed)
        self.optimizer = nevergrad.optimizers.NGOpt(form, budget=trials, num_workers=1)

    def ask(self) -> Asked:
        point = self.optimizer.ask()
        return Asked(point, params_of(self.space, point.value))

    def tell(self, asked: Asked, loss: float | None) -> None:
        self.optimizer.tell(asked.token, self.worst(loss))

    def _kind(self, p: Any, domain: Domain) -> Any:
        if isinstance(domain, Choice):
            return p.Choice(list(domain.labels))
        kind = (p.Log if domain.log else p.Scalar)(lower=domain.low, upper=domain.high)
        return kind if isinstance(domain, Float) else kind.set_integer_casting()


class Hebo:
    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        np.random.seed(seed)  # noqa: NPY002 - it draws from the global generator
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.space, self.worst = problem.space, Worst()
        form = [{"name": p.path, **self._kind(p.domain)} for p in self.space.parameters]
        self.optimizer = HEBO(DesignSpace().parse(form), scramble_seed=seed)

    def ask(self) -> Asked:
        point = self.optimizer.suggest(n_suggestions=1)
        return Asked(point, params_of(self.space, point.iloc[0].to_dict()))

    def tell(self, asked: Asked, loss: float | None) -> None:
        self.optimizer.observe(asked.token, np.array([[self.worst(loss)]]))

    def _kind(self, domain: Domain) -> dict[str, Any]:
        if isinstance(domain, Choice):
            return {"type": "cat", "categories": list(domain.labels)}
        kind = {(True, False): "num", (True, True): "pow", (False, False): "int", (False, True): "pow_int"}
        return {"type": kind[isinstance(domain, Float), domain.log], "lb": domain.low, "ub": domain.high}


class Ax:
    def __init__(self, problem: Problem, seed: int, trials: int) -> None:
        import torch
        from ax.api.client import Client

        torch.set_num_threads(1)
        self.space = problem.space
        # A name of Ax has no dots.
        self.names = {f"p{i}": path for i, path in enumerate(self.space.paths)}
        self.client = Client(random_seed=seed)
        self.client.configure_experiment(
            parameters=[_configured(f"p{i}", parameter.domain) for i, parameter in enumerate(self.space.parameters)]
        )
        self.client.configure_optimization(objective="-loss")

    def ask(self) -> Asked:
        [(number, found)] = self.client.get_next_trials(max_trials=1).items()
        return Asked(number, params_of(self.space, {self.names[name]: value for name, value in found.items()}))

    def tell(self, asked: Asked, loss: float | None) -> None:
        if loss is None:
            self.client.mark_trial_failed(trial_index=asked.token)
        else:
            self.client.complete_trial(trial_index=asked.token, raw_data={"loss": loss})


def _configured(name: str, domain: Domain) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if isinstance(domain, Choice):
        return ChoiceParameterConfig(name=name, values=list(domain.labels), parameter_type="str", is_ordered=False)
    kind, scaling = "float" if isinstance(domain, Float) else "int", "log" if domain.log else "linear"
    return RangeParameterConfig(name=name, bounds=(domain.low, domain.high), parameter_type=kind, scaling=scaling)
