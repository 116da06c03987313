"""What is imported, and when."""

import subprocess
import sys

import pytest

import tuneful as tn
from tuneful import schedulers, searchers


def test_a_study_that_learns_nothing_needs_no_scipy():
    code = (
        "import sys, tuneful as tn; tn.Study({'x': [1, 2]}, search='grid').run(lambda x: x, quiet=True); "
        "assert not any(name.split('.')[0] == 'scipy' for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", [tn, schedulers, searchers])
def test_every_public_name_is_there_and_others_are_not(package):
    for name in package.__all__:
        assert getattr(package, name) is vars(package)[name]
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018 - to look it up is the test
