"""The benchmark of search quality counts right: regrets by hand, figures of a panel, runs from the first to the tables."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
PANEL = ROOT.parent / "shared/bench"

needs_panel = pytest.mark.skipif(
    not (PANEL / "tasks_public.py").exists(), reason="../shared/bench, a panel outside the project, is not there"
)
needs_its_models = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("sklearn") is None,
    reason="the panel's problems need onnxruntime and scikit-learn",
)


@pytest.fixture(scope="module", autouse=True)
def beside_the_benchmarks():
    """Import as scripts in that folder do, and leave no name of theirs behind."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def search(*options, folder):
    """What the benchmark prints, and its figures."""
    command = [sys.executable, str(BENCHMARKS / "search.py"), "--out", str(folder), "--json", str(folder / "figures")]
    folder.mkdir(exist_ok=True)
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "figures").read_text())


def run_of(losses, task="bowl", seed=0, name="mine", **more):
    from runs import Run

    n = len(losses)
    form = {"task": task, "opt": name, "seed": seed, "trials": n, "loss": losses, "ask_s": [0.002] * n}
    return Run.of({**form, "tell_s": [0.001] * n, **more})


def traces(*runs):
    return {(run.task, run.seed): run for run in runs}


def test_regret_of_a_known_trace():
    import regret
    from problems.references import Reference

    references = {"bowl": Reference(best=2.0, median=6.0)}
    mine = traces(run_of([9.0, 4.0, 5.0, 1.0]))
    # Best so far 9, 4, 4, 1; the best known moves from 2 to 1, so the spread is 5, and 8/5 is held at 1.5.
    known = regret.best_known(references, mine.values())
    assert known == {"bowl": Reference(1.0, 6.0)}
    found = [regret.by_task(mine, known, n)["bowl"][0] for n in (1, 2, 3, 4)]
    assert found == pytest.approx([1.5, 0.6, 0.6, 0.0])
    assert regret.by_task(mine, known, 5) == {}


def test_failed_trials_count_as_no_result():
    import regret
    from problems.references import Reference

    run = run_of([None, 3.0, None])
    assert run.best.tolist() == [np.inf, 3.0, 3.0]
    assert regret.by_task(traces(run), {"bowl": Reference(1.0, 5.0)}, 1)["bowl"][0] == 1.5


def test_an_exhausted_space_stays_as_good_as_it_is():
    run = run_of([4.0, 2.0], trials=5, exhausted=True)
    assert run.best.tolist() == [4.0, 2.0, 2.0, 2.0, 2.0]


def test_wins_count_ties_half_and_only_what_both_ran():
    import regret

    mine = traces(run_of([1.0]), run_of([2.0], seed=1), run_of([9.0], seed=2), run_of([0.0], seed=7))
    theirs = traces(run_of([3.0]), run_of([2.0], seed=1), run_of([4.0], seed=2))
    assert regret.wins(mine, theirs, 1) == pytest.approx((1 + 0.5 + 0) / 3)


def test_ranks_are_shares_of_those_that_have_a_task():
    import regret

    scores = {"a": {"t": 0.1, "u": 0.5}, "b": {"t": 0.3, "u": 0.5}, "c": {"t": 0.2}}
    assert regret.ranks(scores) == pytest.approx({"a": (1 / 3 + 0.75) / 2, "b": (1 + 0.75) / 2, "c": 2 / 3})


def test_paired_differences_are_over_tasks_and_seeds_that_both_have():
    import regret

    mine = {"t": {0: 0.2, 1: 0.4, 5: 0.9}, "u": {0: 0.1}, "only mine": {0: 1.0}}
    theirs = {"t": {0: 0.5, 1: 0.5}, "u": {0: 0.3, 1: 0.0}}
    found = regret.paired(mine, theirs)
    assert (found.tasks, found.pairs) == (2, 3)
    assert found.difference.mean == pytest.approx((-0.2 - 0.2) / 2)
    assert found.difference.verdict == "ahead"
    assert found.verdict == "few"
    assert regret.paired(mine, {}) is None


def test_worse_than_random_takes_more_than_one_seed():
    import regret

    assert regret.over_seeds({0: 0.5}, {0: 0.1}) is None
    assert regret.over_seeds({0: 0.5, 1: 0.6, 2: 0.55}, {0: 0.1, 1: 0.2, 2: 0.16}).verdict == "behind"
    assert regret.over_seeds({0: 0.5, 1: 0.1}, {0: 0.1, 1: 0.2}).verdict == "open"


def test_cost_is_that_of_the_last_five_trials():
    import regret

    run = run_of([1.0] * 10, ask_s=[1.0] * 5 + [0.002] * 5)
    assert regret.cost_ms([run], 10) == pytest.approx(3.0)
    assert np.isnan(regret.cost_ms([run], 11))


def test_contestants_are_split_at_commas_outside_parentheses():
    import contestants

    found = contestants.ours("auto, Given([{'x': 1}, {}]),old:Halton()")
    assert [(one.label, one.pinned) for one in found] == [
        ("auto", False),
        ("Given([{'x': 1}, {}])", False),
        ("old", True),
    ]
    with pytest.raises(SystemExit, match="no search='tpf'|There is no"):
        contestants.ours("tpf")


def test_seeds_and_halves_part_everything_once():
    import arenas

    assert arenas.seeds_of(Namespace(seeds=[2, 3, 4], half="dev")) == [2, 4]
    assert arenas.seeds_of(Namespace(seeds=[2, 3, 4], half="held-out")) == [3]
    whole = arenas.own()
    dev, held_out = ({p.name for p in whole.only((), (), half).problems} for half in ("dev", "held-out"))
    assert dev | held_out == {problem.name for problem in whole.problems}
    assert not dev & held_out
    kinds = {problem.family for problem in whole.problems}
    assert {problem.family for problem in whole.problems if problem.name in dev} == kinds


def test_workers_are_always_busy_and_told_in_the_order_of_ending():
    from driving import Asked, drive
    from problems import bundled

    problem = next(problem for problem in bundled() if problem.name == "bowl4-noisy")

    class Watched:
        open, asked, told = 0, 0, ()

        def ask(self):
            self.open, self.asked = self.open + 1, self.asked + 1
            seen.append(self.open)
            return Asked(self.asked - 1, {f"x{i}": 0.1 * i for i in range(4)})

        def tell(self, asked, loss):
            self.open -= 1
            self.told = (*self.told, asked.token)

    seen, watched = [], Watched()
    trace = drive(watched, problem, seed=0, trials=20, workers=3)
    assert seen == [1, 2, *[3] * 18]
    assert len(trace.losses) == len(trace.ask) == len(trace.tell) == 20
    assert sorted(watched.told) == list(range(20))
    assert watched.told != tuple(range(20))
    assert len(set(trace.losses)) == 1  # what is kept is the true loss, not the noise that was told


def test_every_problem_has_a_reference_and_a_loss_that_repeats():
    from problems import bundled, references
    from runs import repeated

    found = bundled()
    names = Counter(problem.name for problem in found)
    assert max(names.values()) == 1
    assert names.keys() <= references.kept().keys()
    for problem in found:
        space = problem.space
        rows = space.draw(np.random.default_rng(0).random((4, len(space))))
        params = [space.nested(space.config(row)) for row in rows]
        assert repeated([*params, params[0]]) == repeated(params) + 1
        for each in params:
            first, again = (outcome(problem, each) for _ in range(2))
            assert first == again, problem.name
            assert first is None or first >= references.kept()[problem.name].best - 1e-9 or problem.noisy


def outcome(problem, params):
    from driving import FAILURES

    try:
        return problem.loss(params, 7)
    except FAILURES:
        return None


def test_half_of_one_problem_fails_and_the_grid_has_125_configs():
    from problems import bundled, references

    found = {problem.name: problem for problem in bundled()}
    assert found["grid125"].space.size == 125
    space = found["half-fails"].space
    rows = space.draw(np.random.default_rng(0).random((2000, len(space))))
    failed = [outcome(found["half-fails"], space.nested(space.config(row))) is None for row in rows]
    assert 0.45 < np.mean(failed) < 0.55
    drawn = references.drawn(found["rastrigin4"], 4000)
    assert drawn.median == pytest.approx(references.kept()["rastrigin4"].median, rel=0.05)
    assert dataclasses.asdict(drawn)["best"] == 0


def test_a_short_comparison_is_kept_and_not_run_again(tmp_path):
    options = ["--contestants", "auto,Halton()", "--peers", "none", "--on", "own", "--tasks", "rastrigin4,half-fails"]
    options += ["--trials", "6", "--at", "3,6", "--seeds", "2"]
    text, figures = search(*options, folder=tmp_path)
    assert "12 runs of 6 trials are to be made, of auto, Halton(), random." in text
    rows = [json.loads(line) for line in (tmp_path / "auto.jsonl").read_text().splitlines()]
    assert {(row["task"], row["seed"]) for row in rows} == {
        (t, s) for t in ("rastrigin4", "half-fails") for s in (0, 1)
    }
    assert all(len(row["loss"]) == len(row["ask_s"]) == len(row["tell_s"]) == row["n"] == 6 for row in rows)
    assert any(None in row["loss"] for row in rows if row["task"] == "half-fails")
    again, same = search(*options, folder=tmp_path)
    assert "to be made" not in again
    assert same == figures
    from problems import references

    reference = references.kept()["rastrigin4"]
    best = [min(row["loss"]) for row in rows if row["task"] == "rastrigin4"]
    expected = np.mean([min((loss - reference.best) / (reference.median - reference.best), 1.5) for loss in best])
    assert figures["own"]["tasks"]["rastrigin4"]["auto"]["regret"] == pytest.approx(expected, rel=1e-6)
    assert figures["own"]["standings"]["6"]["auto"]["runs"] == 4
    assert figures["own"]["paired"]["auto"]["Halton()"]["6"]["pairs"] == 4


def test_the_bars_are_printed(tmp_path):
    (tmp_path / "figures").write_text("{}")
    text, _ = search("--contestants", "random,Grid(levels=5)", "--check", "--seeds", "1", folder=tmp_path)
    failed, twice, distinct = map(int, re.search(r"^random +(\d+) +(\d+) +(\d+) +NOT met", text, re.MULTILINE).groups())
    assert failed > 10
    assert (twice, distinct) == (0, 125)


@needs_panel
@needs_its_models
def test_figures_of_recorded_peers_are_those_of_the_panel(tmp_path):
    command = [sys.executable, "-B", "report.py", "--panel", "public", "--at", "25,100"]
    report = subprocess.run(command, cwd=PANEL, capture_output=True, text=True, timeout=120, check=True).stdout
    options = ["--contestants", "none", "--peers", "recorded", "--on", "panel", "--panel", str(PANEL)]
    _, figures = search(*options, "--at", "25,100", folder=tmp_path)
    for n in (25, 100):
        section = report.split(f"trial {n}\n")[1].split("###")[0].split("Win rate")[0]
        rows = dict(re.findall(r"^\| ([\w-]+) \| (.*) \|$", section, re.MULTILINE))
        rows.pop("optimizer")
        ours = figures["panel"]["standings"][str(n)]
        assert rows.keys() == ours.keys()
        for name, cells in rows.items():
            mean, _, rank, _, _, tasks, count = cells.split(" | ")
            assert f"{ours[name]['regret']:.4f}" == mean, name
            assert f"{ours[name]['rank']:.2f}" == rank, name
            assert (ours[name]["tasks"], ours[name]["runs"]) == (int(tasks), int(count)), name


@needs_panel
@needs_its_models
def test_the_spaces_of_the_panel_keep_their_conditions():
    from problems import panel

    found = {problem.name: problem for problem in panel.problems(PANEL)[0]}
    space = found["mixed-conditional"].space
    for row in space.draw(np.random.default_rng(0).random((50, len(space)))):
        params = space.nested(space.config(row))
        assert ("lr" in params) == (params["algo"] == "net")
        assert ("l2" in params) == (params["algo"] in ("net", "lin"))
        assert np.isfinite(found["mixed-conditional"].loss(params, 0))
