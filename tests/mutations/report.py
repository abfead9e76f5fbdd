"""Break every format many times over and print what came of it.

    python tests/mutations/report.py [--each 500] [--format NAME] [--first 0] [--show 0]

Exit code 1 where a reader ended in anything but success or an error of imtext in one line.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from targets import TARGETS, Target
from trial import Outcome, bench

from imtext.errors import ImtextError

GIGABYTE = 1 << 30


def limit_memory(more: int = GIGABYTE) -> None:
    """No more address space than now and so much: a reader that believes a lying header then fails."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def kind_of(message: str) -> str:
    """A message without what is quoted, numbers and paths, so that one kind counts once."""
    return re.sub(r"\d[\d,.]*|'[^']*'|\"[^\"]*\"|\S*/\S*", "…", message)


def examine(target: Target, each: int, first: int) -> list[Outcome]:
    """The outcomes of the seeds ``first`` to ``first + each``."""
    with bench(target) as place:
        outcomes = [place.trial(seed) for seed in range(first, first + each)]
        # Fewer changes are easier to understand: is there a fault of the same kind after a single one?
        for i, outcome in enumerate(outcomes):
            if outcome.fault and ", then " in outcome.what:
                simpler = place.trial(outcome.seed, steps=1)
                outcomes[i] = simpler if simpler.fault else outcome
    return outcomes


def main() -> int:
    """Print the table; 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", type=int, default=500, help="mutations per format")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--format", help="only formats whose name begins like this")
    parser.add_argument("--show", type=int, default=0, help="print so many messages of each format")
    options = parser.parse_args()
    chosen = [target for target in TARGETS if target.name.startswith(options.format or "")]
    if not chosen:
        parser.error(f"--format: expected one of {', '.join(target.name for target in TARGETS)}")
    refuses_whole: dict[str, str] = {}
    for target in chosen:  # imports and first calls are not what the memory limit is for
        try:
            examine(target, 3, 0)
        except ImtextError as error:
            refuses_whole[target.name] = str(error)
    limit_memory()
    columns = ("format", "mutations", "ended well", "refused", "distinct", "slowest ms", "seconds", "others")
    print(("{:<20}" + "{:>12}" * 7).format(*columns), flush=True)
    began, all_faults = time.perf_counter(), len(refuses_whole)
    for target in chosen:
        if target.name in refuses_whole:
            print(f"{target.name:<20}    refuses the whole example: {refuses_whole[target.name]}")
            continue
        outcomes = examine(target, options.each, options.first)
        all_faults += _print(target, outcomes, options.show)
    print(f"{time.perf_counter() - began:.0f} s in all; {all_faults} others (0 expected)")
    return int(all_faults > 0)


def _print(target: Target, outcomes: list[Outcome], show: int) -> int:
    refused = [o for o in outcomes if o.message]
    faults = [o for o in outcomes if o.fault]
    kinds = Counter(kind_of(o.message) for o in refused)
    slowest = max(outcomes, key=lambda o: o.seconds)
    figures = (
        len(outcomes),
        len(outcomes) - len({*map(id, refused)} | {*map(id, faults)}),
        len(refused),
        len(kinds),
    )
    row = (target.name, *figures, f"{1000 * slowest.seconds:.0f}", f"{sum(o.seconds for o in outcomes):.1f}")
    print(("{:<20}" + "{:>12}" * 7).format(*row, len(faults)), flush=True)
    seen: set[str] = set()
    for fault in faults:
        kind = kind_of(fault.fault)
        if kind not in seen:
            seen.add(kind)
            alike = sum(kind_of(o.fault) == kind for o in faults)
            print(f"    seed {fault.seed} ({alike} alike): {fault.what}\n      -> {fault.fault}", flush=True)
    for kind in list(kinds)[:show]:
        print("   ", next(o.message for o in refused if kind_of(o.message) == kind))
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
