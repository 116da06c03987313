"""Random spaces, for the tests of this folder."""

import string

from hypothesis import strategies as st

from tuneful.space import Bool, Choice, Float, Int, Log, Repeat, Space, Switch, When
from tuneful.space.beliefs import LogNormal, Normal

names = st.one_of(
    st.text(string.ascii_lowercase, min_size=1, max_size=3),
    st.sampled_from(["läyers", "学习率", "a b", "🎛", "val/loss", "x.y", "type", "children"]),
).filter(lambda name: name != "name")

scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=5)),
    st.sampled_from([0, 1, 0.0, 1.0, True, False, "1", "None", "import", "label"]),
)
keys = st.one_of(st.text(max_size=3), st.integers(0, 9), st.booleans(), st.tuples(st.integers(0, 3)))
option_values = st.recursive(
    st.one_of(scalars, st.sampled_from([dict, sorted, string.capwords, Choice])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=6,
)


def unique_by_label(options):
    return list({Choice([option]).keys[0]: option for option in options}.values())


@st.composite
def choices(draw, values=option_values):
    options = unique_by_label(draw(st.lists(values, min_size=1, max_size=5)))
    settings = {"ordered": draw(st.booleans())}
    if draw(st.booleans()):
        settings["weights"] = draw(st.lists(st.floats(0.1, 10), min_size=len(options), max_size=len(options)))
    if draw(st.booleans()):
        settings["default"] = draw(st.sampled_from(options))
    if draw(st.booleans()):
        return Choice(options, **settings)
    settings.pop("default", None)
    return Choice({f"option {i}": option for i, option in enumerate(options)}, **settings)


finite = st.one_of(
    st.tuples(st.integers(-3, 3), st.integers(1, 3)).map(lambda t: Int(t[0], t[0] + t[1])),
    st.tuples(st.integers(1, 4), st.integers(1, 3)).map(lambda t: Int(t[0], t[0] * 2 ** t[1], log=True, step=2)),
    st.tuples(st.integers(1, 4), st.integers(1, 2)).map(lambda t: Int(t[0], t[0] + t[1], log=True)),
    st.integers(1, 3).map(lambda n: Float(0, n / 10, step=0.1)),
    choices(),
)
infinite = st.sampled_from(
    [
        Float(0, 1),
        Float(-1, 1, default=0.25),
        Log(1e-5, 1e-1, default=1e-3),
        Float(0, 1, belief=Normal(0.3, 0.1)),
        Log(1e-5, 1, belief=LogNormal(1e-3, 3)),
        Int(1, 10**6, log=True, default=7),
        Bool(default=True),
    ]
)


def when(draw, group, leaves, depth):
    """One more parameter of `group`, under a condition on another; None if there is none to depend on."""
    able = [(name, node) for name, node in group.items() if isinstance(node, Choice | Int | Switch)]
    if not able:
        return None
    name, node = draw(st.sampled_from(able))
    values = list(node.options) if isinstance(node, Choice | Switch) else node.levels(3)
    wanted = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
    return When({name: wanted}, draw(nodes(leaves, depth - 1)))


@st.composite
def groups(draw, leaves, depth, min_size=0):
    group = draw(st.dictionaries(names, nodes(leaves, depth), min_size=min_size, max_size=3))
    if draw(st.booleans()) and "when" not in group and (node := when(draw, group, leaves, depth)) is not None:
        group["when"] = node
    return group


def nodes(leaves, depth):
    if depth <= 0:
        return leaves
    inner = groups(leaves, depth - 1)
    switches = st.dictionaries(names, inner, min_size=1, max_size=2).map(Switch)
    repeats = st.tuples(st.integers(0, 1), st.integers(0, 1), nodes(leaves, depth - 1)).map(
        lambda t: Repeat(t[0], max(1, t[0] + t[1]), t[2])
    )
    return st.one_of(leaves, leaves, inner, switches, repeats)


leaves_of_all_kinds = st.one_of(finite, infinite)


@st.composite
def spaces(draw, leaves=leaves_of_all_kinds, depth=3):
    return Space(draw(groups(leaves, depth, min_size=1)), open=True)
