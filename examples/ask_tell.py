"""Tune what is not a function: ask for a setting, try it in your own time, and tell how good it was.

    python examples/ask_tell.py                a loop of your own, in memory
    python examples/ask_tell.py ask            a setting to try, kept in cookies.db
    python examples/ask_tell.py tell 0 7.5     trial 0 scored 7.5; perhaps days later
    python examples/ask_tell.py show           what came of it so far

The settings are those of a cookie. The second way suits whatever people, a laboratory or another program
has to try.
"""

from __future__ import annotations

import argparse

import tuneful as tn

SPACE = {
    "oven": tn.Int(150, 220, step=5, default=180),  # degrees Celsius
    "minutes": tn.Float(6, 16, step=0.5, default=10),
    "sugar": tn.Choice(["white", "brown"], default="white"),
}


def tasting(oven: int, minutes: float, sugar: str) -> float:
    """Stands for people who eat a cookie: from 0 to 10."""
    baked = (oven - 100) * minutes / 900
    return round(10 - 8 * abs(baked - 1) - (sugar == "white"), 1)


def loop() -> None:
    """Two batches at a time: both are asked for before the first is told."""
    study = tn.Study(SPACE, maximize="score", seed=0)
    for _ in range(8):
        for trial in [study.ask(), study.ask()]:
            study.tell(trial, tasting(**trial.params))
    print(study)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = options.add_subparsers(dest="action")
    actions.add_parser("ask", help="a setting to try")
    tell = actions.add_parser("tell", help="how good it was")
    tell.add_argument("number", type=int)
    tell.add_argument("score", type=float)
    actions.add_parser("show", help="what came of it so far")
    given = options.parse_args()
    if given.action is None:
        loop()
        return
    study = tn.Study(SPACE, maximize="score", study="cookies.db")
    if given.action == "ask":
        trial = study.ask(lease=None)  # nobody's: it does not end with this process, and anybody may tell it
        print(f"trial {trial.number}: {trial.params}")
        return
    if given.action == "tell":
        try:
            study.tell(given.number, given.score)
        except tn.StudyError as error:  # it was told before, or there is none of this number
            raise SystemExit(str(error)) from None
    print(study)


if __name__ == "__main__":
    main()
