#!/usr/bin/env python3
"""Compare two result files of imalab (`--json`) case by case: what was it before, what is it now?

A case is a scenario with its parameters on a kernel, and which repetition. Two cases are the same when they have the same
outcome for the same kind of reason:

- where checks decide (failed, known-defect, known-limit), the checks that did not pass, and how: failed or could not run;
- elsewhere, the code of the finding that is the reason. Schema 1 has no codes: there the outcome alone is compared.

Exit codes: 0 the same, 1 a difference (each is printed), 2 a file that cannot be compared.
"""

import argparse
import json
import sys

SCHEMAS = (1, 2)
DECIDED_BY_CHECKS = ("failed", "known-defect", "known-limit")
# A pass has nothing to explain.
WITHOUT_REASON = ("passed",)


class Unusable(Exception):
    """A file that is no result of a suite."""


def load(path):
    """The runs of a file by case."""
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from error
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema not in SCHEMAS:
        known = " and ".join(map(str, SCHEMAS))
        raise Unusable(f"{path}: schema {schema!r}; this script reads {known}")
    runs = {}
    for run in results["runs"]:
        key = case(run)
        if key in runs:
            raise Unusable(f"{path}: {title(key)} is there twice")
        runs[key] = run
    return runs


def case(run):
    """What makes two runs of two files the same case."""
    return (run["scenario"], tuple(sorted(run["parameters"].items())), run["kernel"], run["repeat"])


def title(key):
    """A case for people."""
    scenario, parameters, kernel, repeat = key
    values = "".join(f" {name}={value}" for name, value in parameters)
    return f"{scenario}{values} on {kernel}, repeat {repeat}"


def reason(run):
    """The kind of reason for a run's outcome; nothing where it is not told as data."""
    outcome = run["outcome"]
    if outcome in WITHOUT_REASON:
        return ()
    if outcome in DECIDED_BY_CHECKS:
        decided = ((check["check"], check["verdict"]) for check in run["checks"])
        return tuple(sorted(one for one in decided if one[1] in ("failed", "could-not-run")))
    return None if isinstance(run["reason"], str) else run["reason"]["finding"]["code"]


def are_same(old, new):
    """Whether two runs ended alike, for the same kind of reason as far as both tell it."""
    kinds = (reason(old), reason(new))
    return old["outcome"] == new["outcome"] and (None in kinds or kinds[0] == kinds[1])


def described(run):
    """Outcome and reason for people."""
    text = run["reason"]
    if isinstance(text, dict):
        text = text["text"]
    if run["outcome"] in DECIDED_BY_CHECKS:
        text = ", ".join(f"{check} {verdict}" for check, verdict in reason(run)) + f" ({text})"
    return f"{run['outcome']}: {text}" if text else run["outcome"]


def differences(before, after):
    """A line or more for each case that differs, in the order of the cases."""
    for key in sorted(before.keys() | after.keys(), key=repr):
        old, new = before.get(key), after.get(key)
        if old is None:
            yield f"{title(key)}\n  only in the second: {described(new)}"
        elif new is None:
            yield f"{title(key)}\n  only in the first: {described(old)}"
        elif not are_same(old, new):
            yield f"{title(key)}\n  before: {described(old)}\n  after:  {described(new)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="results of the first suite")
    parser.add_argument("after", help="results of the second")
    arguments = parser.parse_args()
    try:
        before, after = load(arguments.before), load(arguments.after)
        if not before and not after:
            raise Unusable("neither file has a run")
        found = list(differences(before, after))
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyError, TypeError, AttributeError) as error:
        print(f"error: a run lacks what every run has: {error!r}", file=sys.stderr)
        return 2
    for difference in found:
        # Reasons may hold a guest's words.
        print("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in difference))
    print(f"{len(before)} and {len(after)} runs, {len(found)} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
