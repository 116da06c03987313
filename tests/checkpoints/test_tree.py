import collections
import dataclasses
import enum
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tuneful.checkpoints.tree import Leaves, decode, encode
from tuneful.errors import CheckpointError


def same(a, b):
    """Equal in type and value, all the way down; nan is nan, and -0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or (a != a and b != b))  # noqa: PLR0124 - both NaN
    return a == b


def through_json(state):
    tree, leaves = encode(state)
    return decode(json.loads(json.dumps(tree)), leaves)


# Also lone surrogates: two of them must not become one character.
texts = st.text() | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)) | st.text("\0\ud800\udc00")
floats = st.floats().map(lambda x: math.copysign(math.nan, 1) if math.isnan(x) else x)
atoms = st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | floats | texts
keys = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
dtypes = hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.byte_string_dtypes()
arrays = hnp.arrays(dtypes | hnp.array_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
scalars = hnp.arrays(dtypes, ()).map(lambda array: array[()])
leaves = atoms | st.binary() | st.binary(min_size=1025, max_size=1100) | arrays | scalars
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(states)
def test_a_state_comes_back_exactly(state):
    assert same(through_json(state), state)


@pytest.mark.parametrize(
    "state",
    [
        {1: "int", "1": "str", 2.0: "float", None: "none", (1, ("a", None)): "tuple", b"1": "bytes"},
        {True: 0, 0: 1},
        {"z": 0, "a": 1, "m": 2},
        10**10_000,
        -(2**64),
        "\ud800\udc00",
        np.str_("a\0"),
        np.bytes_(b"a\0"),
        np.bytes_(b"long" * 1000),
        np.float64("nan"),
        np.longdouble("1.1"),
        np.datetime64("NaT", "ns"),
        np.bool_(True),
        np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8", (1,))])[()],
        np.array([], dtype="U0"),
        {np.int64(3): 1},
        np.random.default_rng(0).bit_generator.state,
    ],
    ids=lambda state: type(state).__name__,
)
def test_a_corner_comes_back_exactly(state):
    assert same(through_json(state), state)


def test_strides_and_byte_order_do_not_matter():
    base = np.arange(24.0).reshape(2, 3, 4)
    for array in (base.T, base[:, ::-2], np.asfortranarray(base), base.astype(">f4"), np.array(5)):
        assert np.array_equal(through_json(array), array)


def test_subclasses_are_taken_for_their_base():
    point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - the untyped one too
    ordered = collections.OrderedDict(b=1, a=2)
    ordered.move_to_end("b")
    state = {"o": ordered, "d": collections.defaultdict(list, k=[1]), "p": point(1, 2)}
    assert same(through_json(state), {"o": {"a": 2, "b": 1}, "d": {"k": [1]}, "p": (1, 2)})


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Settings:
    lr: float = 0.1


class Masks(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "what", "remedy"),
    [
        (torch.optim.SGD([torch.zeros(1)]), "a torch.optim.sgd.SGD", "`state_dict()`"),
        ({1}, "a set", "`list()`"),
        (range(3), "a range", "`list()`"),
        (collections.UserDict(), "a collections.UserDict", "`dict()`"),
        (1j, "a complex", "`real` and `imag`"),
        (bytearray(2), "a bytearray", "`bytes()`"),
        (Colour.RED, "Colour", "`value`"),
        (Level.LOW, "Level", "`value`"),
        (Settings(), "Settings", "`dataclasses.asdict()`"),
        (object(), "an object", "pathlib.Path"),
        (Settings, "a type", "pathlib.Path"),
        (np.array([None]), "an array of dtype object", "`tolist()`"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "an array of dtype StringDType", "`astype()`"),
        (np.ma.masked_array([1], [True]), "a numpy.ma.MaskedArray", "`data` and `mask`"),
        (np.zeros(2).view(Masks), "Masks", "`numpy.asarray()`"),
        (torch.zeros(2).to_sparse(), "a sparse tensor", "`to_dense()`"),
        (torch.zeros(2, device="meta"), "a tensor without data", "device"),
        (torch.nn.LazyLinear(2).weight, "a parameter without data", "once"),
    ],
)
def test_what_is_not_data_is_refused_by_its_place(value, what, remedy):
    with pytest.raises(CheckpointError) as caught:
        encode({"model": [0, {"a": value}]})
    message = str(caught.value)
    assert message.startswith("Cannot save `state['model'][1]['a']`, a")
    assert what in message
    assert "a checkpoint holds dicts" in message
    assert remedy in message


def test_a_whole_state_is_refused_as_state():
    with pytest.raises(CheckpointError, match=r"^Cannot save `state`, a set: "):
        encode(set())


@pytest.mark.parametrize("key", [frozenset(), Path("a"), (1, frozenset()), 1j])
def test_odd_keys_are_refused(key):
    with pytest.raises(CheckpointError, match=r"^Cannot save `state\['a'\]` with the key .*keys are strings"):
        encode({"a": {key: 1}})


def test_a_key_of_an_enumeration_is_refused():
    with pytest.raises(CheckpointError, match="Level"):
        encode({Level.LOW: 1})


def test_a_cycle_is_refused_by_its_place():
    inner: dict = {}
    inner["up"] = [1, inner]
    with pytest.raises(
        CheckpointError, match=r"^Cannot save `state\['a'\]\['up'\]\[1\]`: it is the dict that it is in"
    ):
        encode({"a": inner})


def test_the_same_object_twice_is_not_a_cycle():
    shared = [1]
    assert through_json({"a": shared, "b": (shared, shared)}) == {"a": [1], "b": ([1], [1])}


def test_a_bottomless_state_is_refused():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(CheckpointError, match="nested more than 100 deep"):
        encode(deep)


def test_as_deep_as_allowed_comes_back():
    deep: dict = {}
    for i in range(99):
        deep = {i: deep} if i % 2 else (deep,)
    assert through_json(deep) == deep


def test_a_path_to_nothing_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"`state\['model'\]`: there is no file or folder .*gone\.pt"):
        encode({"model": tmp_path / "gone.pt"})


def test_a_tree_of_another_kind_is_an_error():
    for tree in ({"what": 1}, {"array": "0"}, {"dict": 1}, {}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            decode(tree, Leaves())


def test_torch_is_not_imported_without_tensors():
    code = (
        "import sys, numpy as np; from tuneful.checkpoints import Checkpoints; c = Checkpoints();"
        "c.save(0, 1, 0, {'a': np.zeros(2), 'b': b'x' * 5000});"
        "c.load(0, 1, 0); assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
