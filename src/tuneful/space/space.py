"""A space: what can vary, as parameters with conditions and constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.space import shape, tree
from tuneful.space.choice import UNSET, Choice
from tuneful.space.constraint import Constraint
from tuneful.space.domains import Domain
from tuneful.space.enumeration import Enumeration, levels_of
from tuneful.space.options import Scalar
from tuneful.space.signature import spec_of
from tuneful.space.structure import Node, Parameter, When, check_name

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Config = dict[str, Scalar]

_COUNTED = 100_000  # configs that are checked one by one against the constraints to count them
_TRIED = 10_000  # points drawn before a constraint is taken for impossible
_BLOCK = 100  # of these, drawn together


class Space:
    """What can vary.

    A config is a dict from path to value. In arrays it is a row of *raw* values, one column a parameter
    (numbers themselves, the position of a chosen option), NaN where a parameter does not exist under its
    condition; or a row of the *unit cube*, which is what searchers reason in.

    Args:
        spec: `{name: Float | Int | Choice | list | Switch | Repeat | When | dict}`, or the same as JSON; or a function
            or dataclass whose annotations say it.
        constraints: Relations between parameters, like `"units2 <= units1"`.
        open: The space grows while the objective asks for more; it may begin empty.

    Raises:
        SpaceError: a part of it is impossible; the message names it.

    >>> from tuneful.space import Float
    >>> space = Space({"lr": Float(1e-4, 1e-1, log=True), "opt": ["adam", "sgd"]})
    >>> space.decode(np.array([[0.5, 0.9]]))
    array([[0.00316228, 1.        ]])
    >>> space.config(_[0])
    {'lr': 0.0031622776602, 'opt': 'sgd'}
    """

    def __init__(
        self,
        spec: Mapping[str, Node] | Callable[..., Any],
        constraints: Iterable[str] = (),
        *,
        open: bool = False,  # noqa: A002 - the word for it
    ) -> None:
        if callable(spec):
            spec = spec_of(spec)
        if not isinstance(spec, Mapping):
            raise SpaceError(f"A space is a dict from name to what can vary, and not {spec!r:.80}.")
        self._root = tree.parse_group(spec, "")
        self.parameters: tuple[Parameter, ...] = tuple(tree.parameters(self._root))
        if not self.parameters and not open:
            raise SpaceError("The space is empty. Name at least one parameter, or let the objective take a trial.")
        self.open = open
        self.constraints = tuple(Constraint(text, self._places) for text in _texts(constraints))
        if self.constraints:
            self._check_possible()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_root", "parameters", "open", "constraints")}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of the parameters, in the order of columns."""
        return tuple(parameter.path for parameter in self.parameters)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {path: place for place, path in enumerate(self.paths)}

    @cached_property
    def categorical(self) -> Flags:
        """Which columns hold options without an order, (d,)."""
        return np.array([parameter.domain.categorical for parameter in self.parameters], dtype=bool)

    @cached_property
    def size(self) -> float:
        """How many configs there are; inf if a parameter is continuous, or the space still grows.

        With constraints, those that satisfy them if there are at most 100,000 without; else all.

        >>> from tuneful.space import Float, Int
        >>> dropout = Float(0.1, 0.5, step=0.1)
        >>> hidden1, hidden2 = Int(32, 512, step=32), Int(16, 128, step=16)
        >>> Space({"hidden1": hidden1, "dropout1": dropout, "hidden2": hidden2, "dropout2": dropout,
        ...        "learning_rate": [1e-4, 1e-3, 1e-2]}).size
        9600
        """
        if self.open or any(parameter.domain.size == math.inf for parameter in self.parameters):
            return math.inf
        every = self.enumeration()
        if not self.constraints or every.size > _COUNTED:
            return every.size
        return sum(self.feasible_row(every.row(i)) for i in range(every.size))

    @cached_property
    def _conditions(self) -> list[tuple[int, int, Array]]:
        """Columns that may be absent, each after its parent: (place, parent's place, raw values of it)."""
        conditions = []
        for place, parameter in enumerate(self.parameters):
            if parameter.parent is not None:
                position = self.parameters[parameter.parent].domain.position
                conditions.append((place, parameter.parent, np.array([position(v) for v in parameter.among])))
        return conditions

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, path: object) -> bool:
        return path in self._places

    def __getitem__(self, path: str) -> Domain:
        return self.parameters[self._places[path]].domain

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        mine, others = ((s._root, s.parameters, s.constraints, s.open) for s in (self, other))  # noqa: SLF001
        return mine == others

    def __hash__(self) -> int:
        return hash((self.parameters, self.constraints))

    def __repr__(self) -> str:
        shown = ", ".join(f"{p.path}={p.domain}" for p in self.parameters[:6])
        more = f", … {len(self) - 6} more" if len(self) > 6 else ""
        return f"Space({shown}{more})"

    # Arrays

    def encode(self, raw: Array) -> Array:
        """Raw rows (n, d) to the unit cube; NaN where a parameter does not exist."""
        unit = np.empty_like(raw)
        for place, parameter in enumerate(self.parameters):
            unit[:, place] = parameter.domain.encode(raw[:, place])
        return unit

    def decode(self, unit: Array) -> Array:
        """Points of the unit cube (n, d) to raw rows; NaN where a parameter does not exist."""
        columns = [p.domain.decode(unit[:, place]) for place, p in enumerate(self.parameters)]
        return self.masked(np.column_stack(columns) if columns else np.empty_like(unit))

    def draw(self, q: Array) -> Array:
        """Raw rows at the quantiles `q` (n, d) of weights and beliefs; like `decode` where there are none."""
        columns = [p.domain.draw(q[:, place]) for place, p in enumerate(self.parameters)]
        return self.masked(np.column_stack(columns) if columns else np.empty_like(q))

    def masked(self, raw: Array) -> Array:
        """Raw rows (n, d) with NaN where a parameter does not exist, in place."""
        for place, parent, among in self._conditions:
            column = raw[:, parent]
            exists = (column[:, None] == among).any(axis=1) if len(among) > 1 else column == among[0]
            raw[~exists, place] = np.nan
        return raw

    def feasible(self, raw: Array) -> Flags:
        """Which raw rows (n, d) satisfy the constraints, (n,)."""
        return np.array([self.feasible_row(row) for row in raw], dtype=bool)

    def feasible_row(self, row: Array) -> bool:
        """Whether one raw row (d,) satisfies the constraints."""
        return not self.constraints or self.satisfies(self.config(row))

    def enumeration(self, levels: int | Mapping[str, int | Sequence[Any]] | None = None) -> Enumeration:
        """Every config over `levels` of each parameter (ignoring constraints).

        Args:
            levels: At most how many of each number; or by path, how many or which values. All by default.

        Raises:
            SpaceError: a continuous parameter has no levels, a path is unknown or a value outside.
        """
        by_path = levels if isinstance(levels, Mapping) else dict.fromkeys(self.paths, levels)
        for path in by_path:
            if path not in self:
                raise SpaceError(f"`{path}` is given levels, but is not a parameter.{tree.suggest(path, self.paths)}")
        return Enumeration(self.parameters, [levels_of(p, by_path.get(p.path)) for p in self.parameters])

    # One config

    def config(self, row: Array) -> Config:
        """The config of a raw row (d,)."""
        return {
            parameter.path: parameter.domain.to_value(value)
            for parameter, value in zip(self.parameters, row.tolist(), strict=True)
            if value == value  # noqa: PLR0124 - not NaN
        }

    def row(self, config: Mapping[str, Scalar]) -> Array:
        """The raw row (d,) of a config of this space, unchecked."""
        row = np.full(len(self.parameters), np.nan)
        for path, value in config.items():
            place = self._places[path]
            row[place] = self.parameters[place].domain.position(value)
        return row

    def satisfies(self, config: Mapping[str, Scalar]) -> bool:
        """Whether a config satisfies the constraints."""
        return all(constraint.holds(config) for constraint in self.constraints)

    def nested(self, config: Mapping[str, Scalar]) -> dict[str, Any]:
        """What the objective gets: the config in the shape of the space, options instead of labels.

        >>> from tuneful.space import Int, Repeat
        >>> Space({"layers": Repeat(1, 2, {"units": Int(8, 64)})}).nested({"layers": 1, "layers.0.units": 8})
        {'layers': [{'units': 8}]}
        """
        return shape.nested(self._root, config)

    def complete(self, params: Mapping[str, Any], q: Array | None = None) -> Config:
        """The config of what a user gives, nested or by path; what is left out takes its default, or a draw.

        Args:
            params: Values or options of some parameters.
            q: Quantiles (d,) from which parameters without a default are drawn; None to refuse those.

        Raises:
            SpaceError: a name is unknown, a value outside its range, a parameter missing or not there under
                its condition, a constraint broken.
        """
        config, missing, given = self._completed(params, q)
        if missing is not None:
            raise SpaceError(f"`{missing}` is missing, and has no default. Pass a value for it.")
        for path, value in given.items():
            raise SpaceError(f"`{path}`={value!r:.120} cannot be: {self._absence(path, config)} Leave it out.")
        self._check_constraints(config, "the values")
        return config

    def _check_constraints(self, config: Config, whose: str) -> None:
        for constraint in self.constraints:
            if not constraint.holds(config):
                values = ", ".join(f"{path}={config[path]!r}" for path in constraint.paths)
                raise SpaceError(
                    f"The constraint {constraint.text!r} does not hold for {whose} {values}. Change one of them."
                )

    def _completed(self, params: Mapping[str, Any], q: Array | None) -> tuple[Config, str | None, dict[str, Any]]:
        """The config, the first parameter that it lacks, and which of `params` do not exist in it."""
        given = shape.flat(self._root, params, self._places)
        config: Config = {}
        for place, parameter in enumerate(self.parameters):
            path, domain = parameter.path, parameter.domain
            if not self._exists(parameter, config):
                continue
            if path in given:
                config[path] = domain.to_value(domain.to_raw(given.pop(path), f"`{path}`:"))
            elif (default := _default(domain)) is not UNSET:
                config[path] = default
            elif q is not None:
                config[path] = domain.to_value(float(domain.draw(q[place : place + 1])[0]))
            else:
                return config, path, given
        return config, None, given

    def _exists(self, parameter: Parameter, config: Config) -> bool:
        if parameter.parent is None:
            return True
        parent = self.parameters[parameter.parent]
        if parent.path not in config:
            return False
        position = parent.domain.position
        return position(config[parent.path]) in map(position, parameter.among)

    def _absence(self, path: str, config: Config) -> str:
        """Why a parameter does not exist in `config`."""
        parameter = self.parameters[self._places[path]]
        while parameter.parent is not None and (parent := self.parameters[parameter.parent]).path not in config:
            parameter = parent
        parent = self.parameters[parameter.parent or 0]
        among = " or ".join(repr(value) for value in parameter.among)
        return f"it exists only where `{parent.path}` is {among}, and that is {config[parent.path]!r}."

    @cached_property
    def default(self) -> Config | None:
        """The config of the defaults; None if a parameter that it needs has none."""
        config, missing, _ = self._completed({}, None)
        return config if missing is None and self.parameters else None

    # Growth and text

    def grown(self, path: str, domain: Domain) -> Space:
        """This space with one more parameter, or a wider range of one it has.

        Raises:
            SpaceError: the parameter is there and of another kind, or not at the top.
        """
        check_name(path)
        if path not in self:
            return self._with(path, domain)
        known = self[path]
        try:
            grown = known.widened(domain)
        except SpaceError:
            raise SpaceError(
                f"`{path}` was {known} and is now asked for as {domain}, which is of another kind. Use another name."
            ) from None
        if grown == known and not (isinstance(known, Choice) and known.incomplete):
            return self
        old = self._root.get(path)
        if isinstance(old, When) and old.body == known:
            return self._with(path, When(old.values, grown))
        if old != known:
            if grown == known:
                return self
            raise SpaceError(
                f"`{path}` is {known} in the space that you gave, and is now asked for as {domain}. "
                "Only parameters at the top grow by themselves: change the space, or use another name."
            )
        return self._with(path, grown)

    def _with(self, path: str, node: Node) -> Space:
        return Space({**self._root, path: node}, [constraint.text for constraint in self.constraints], open=self.open)

    def to_json(self) -> dict[str, Any]:
        """The space as JSON values."""
        form: dict[str, Any] = {"parameters": tree.group_to_json(self._root)}
        if self.constraints:
            form["constraints"] = [constraint.text for constraint in self.constraints]
        return form | ({"open": True} if self.open else {})

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote; equal to it.

        Options that were neither JSON nor importable are their labels in it.
        """
        if not isinstance(form, Mapping) or "parameters" not in form:
            raise SpaceError(f"{form!r:.120} is no space. Write {{'parameters': {{name: {{'type': …}}}}}}.")
        return cls(form["parameters"], form.get("constraints", ()), open=form.get("open", False))

    def _check_possible(self) -> None:
        if self.default is not None:
            self._check_constraints(self.default, "the defaults")
            return
        # No seed of the study: what a space is may not depend on who uses it.
        rng = np.random.default_rng(0)
        for _ in range(_TRIED // _BLOCK):
            if self.feasible(self.decode(rng.random((_BLOCK, len(self))))).any():
                return
        if self.size == 0:
            raise self._impossible(f"None of the {self.enumeration().size:,} configs")
        if self.size == math.inf or self.size > _COUNTED:
            raise self._impossible(f"None of {_TRIED:,} configs drawn")

    def _impossible(self, who: str) -> SpaceError:
        texts = ", ".join(repr(constraint.text) for constraint in self.constraints)
        which = "the constraint" if len(self.constraints) == 1 else "all the constraints"
        return SpaceError(
            f"{who} satisfies {which} {texts}. "
            "Loosen them, or write the parameters so that they hold by themselves, "
            "for example `b` as a fraction of `a`."
        )


def _texts(constraints: Iterable[str]) -> list[str]:
    if isinstance(constraints, str):
        return [constraints]
    return list(constraints)


def _default(domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return domain.default
    return UNSET if domain.default is None else domain.default
