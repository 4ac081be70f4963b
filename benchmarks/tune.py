"""How well `raysuite tune` searches: against random search, in overhead, and in how its objective ranks trials.

    python -m benchmarks.tune asha --out tuned/asha --repeats 3
    python -m benchmarks.tune overhead --out tuned/overhead
    python -m benchmarks.tune rank mvtec_ad --category grid --out tuned/rank --trials 24 --set data.image_size=128

``asha``: as many training steps in all for ASHA with TPE as for random search without early stopping, on the
procedural benchmark; winners and the default are trained anew with fresh seeds. ``overhead``: the share of the wall
time that trials of about a minute spend in training steps. ``rank``: the rank correlation between objective and test
metrics, over trials that all went to the end, and its plot as SVG. Everything is kept in the folder given by --out: the
same command again does only what is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.measuring import calibrated, figures_on_test, fit, load
from raysuite.config import Config
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.procedural import write_benchmark
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.session import ray_session
from raysuite.pipelines.tuning import job
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.judging import FIGURES
from raysuite.pipelines.tuning.outcome import Outcome
from raysuite.pipelines.tuning.plan import Request
from raysuite.pipelines.tuning.search import Manner, first_rung, rungs_of, search
from raysuite.pipelines.tuning.trial import Brief, images_and_exam
from raysuite.planning import Need
from raysuite.runs import Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location
from raysuite.training.augmentation import choose_augmentation
from raysuite.training.checkpoints import averaged_net
from raysuite.training.timing import time_steps
from raysuite.tuning.builtin import builtin
from raysuite.tuning.families import rotated
from raysuite.tuning.objective import Marks
from raysuite.tuning.preference import gain
from raysuite.tuning.trials import TrialRecord, read_trials
from raysuite.tuning.verdict import rank_correlation

CATEGORY = "weave"
SHOWN = ("image_auroc", "aupro")
SECONDS = 60.0
"""Of a trial, in ``overhead``."""


def prepared(out: Path, data: Path, config: Config, category: str) -> SearchFolder:
    """A search's folder with its shards."""
    listing = find_entries(Location.of(str(data)), categories=[category])
    run = Run.create(str(out), [listing.source], config)
    shard([listing], run.shards)
    return SearchFolder(run)


def brief_of(folder: SearchFolder, category: str, seed: int, space: str, first: int | None = None) -> Brief:
    config = folder.run.config
    rungs = rungs_of(config.training.steps, first or first_rung(config.training.steps))
    return Brief(folder.run.root.uri, config, builtin(space, config), (category,), rungs, seed, False, 1)


def search_by_steps(folder: SearchFolder, brief: Brief, manner: Manner, budget: int) -> list[TrialRecord]:
    """Search on until no further trial may begin without exceeding the steps; the rows of those within them.

    A trial that went beyond, as its neighbours did not leave enough, does not count.
    """
    default = brief.space.default_of(brief.base)
    records = read_trials(folder.rows)
    while (left := budget - sum(record.steps for record in records)) > 0:
        # So many more cannot exceed the budget, but the last ones, of which some may be stopped early.
        more = max(manner.at_once, left // brief.rungs[-1])
        search(folder, brief, replace(manner, trials=len(records) + more), [default])
        records = read_trials(folder.rows)
    kept, spent = list[TrialRecord](), 0
    for record in records:
        if spent + record.steps <= budget:
            kept.append(record)
            spent += record.steps
    return kept


def on_test(data: Path, category: str, config: Config, seeds: list[int]) -> float:
    """Mean image AUROC of trainings with fresh seeds, a core each."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        found = [pool.submit(_on_test, data, category, config, seed) for seed in seeds]
        return float(np.mean([one.result() for one in found]))


def _on_test(data: Path, category: str, config: Config, seed: int) -> float:
    torch.set_num_threads(1)
    loaded = load(find_entries(Location.of(str(data)), categories=[category]), category, config)
    trained = fit(loaded, config, seed)
    detector = calibrated(loaded, trained.net, config, seed, trained.augmentation.flips)
    return float(figures_on_test(loaded, detector)["image_auroc"])


def compare(out: Path, base: Config, repeats: int, full_trials: int, category: str) -> None:
    """ASHA with TPE against random search, with equal steps."""
    cores = os.cpu_count() or 1
    print(f"{full_trials} trials of {base.training.steps} steps for random search, as many steps for ASHA")
    print("| repetition | search | trials | steps | score | judged | winner's image AUROC | the default's |")
    print("| --: | :-- | --: | --: | --: | --: | --: | --: |")
    for seed in range(repeats):
        data = out / f"data-{seed}"
        if not data.exists():
            write_benchmark(data, seed=seed, image_size=base.data.image_size, categories=(category,))
        fresh = [seed + 100, seed + 101, seed + 102, seed + 103]
        default = on_test(data, category, base, fresh)
        for name, early in (("random", False), ("tpe", True)):
            manner = Manner(name, early, None, 0, None, cores, Need(1, 1, 0.0))
            with ray_session(None):
                folder = prepared(out / f"{name}-{seed}", data, base, category)
                brief = brief_of(folder, category, seed, "full")
                records = search_by_steps(folder, brief, manner, full_trials * base.training.steps)
            outcome = Outcome(brief, records)
            winner = outcome.trials[outcome.winner][0]
            reached = default if outcome.is_default else on_test(data, category, outcome.config, fresh)
            title = "ASHA, TPE" if early else "random, to the end"
            print(
                f"| {seed} | {title} | {len(records)} | {sum(one.steps for one in records)} | {winner.score:.4f} | "
                f"{winner.judged or float('nan'):.4f} | {100 * reached:.1f} | {100 * default:.1f} |",
                flush=True,
            )


def measure_overhead(out: Path, base: Config, trials: int, category: str) -> None:
    """The share of the wall time, times the trials at once, that is spent in training steps."""
    cores = os.cpu_count() or 1
    data = out / "data"
    if not data.exists():
        write_benchmark(data, seed=0, image_size=base.data.image_size, categories=(category,))
    torch.set_num_threads(1)
    _, step = time_steps(base, torch.device("cpu"))
    config = with_words(base, [f"training.steps={max(9, round(SECONDS / step))}"])
    with ray_session(None):
        folder = prepared(out / f"search-{int(time.time())}", data, config, category)
        # Same settings for all, so that none is longer than the others.
        brief = brief_of(folder, category, 0, "corruption")
        start = time.perf_counter()
        search(folder, brief, Manner("random", False, None, trials, None, cores, Need(1, 1, 0.0)), [])
        wall = time.perf_counter() - start
    seconds = [job.training_seconds(folder, record) for record in read_trials(folder.rows)]
    share = sum(seconds) / (wall * cores)
    print(
        f"{trials} trials of {np.median(seconds):.0f} s in {wall:.0f} s on {cores} cores: {share:.1%} in training steps"
    )


def rank(out: Path, data: str, base: Config, category: str, trials: int) -> None:
    """Trials at random, all to the end, and what the objective says of their test metrics.

    The nets that trials left are scored anew, so that a search that lies there answers for the objective as it is now.
    """
    # Sooner than by default, to see how much is known how soon.
    first = max(1, base.training.steps // 9)
    request = Request(
        run=str(out / "search"), data=(data,), config=base, categories=(category,), spaces=("full",), search="random",
        early_stopping=False, trials=trials, final_seeds=0, first_rung=first,
    )  # fmt: skip
    folder, _ = job.tune(request)
    torch.set_num_threads(os.cpu_count() or 1)
    brief = brief_of(folder, category, 0, "full", first)
    tested = {row["number"]: row for row in pq.read_table(Path(request.run) / "test.parquet").to_pylist()}
    whole = [one for one in read_trials(folder.rows) if one.state == "done" and tested[one.number]["error"] is None]
    marks = {record.number: marks_of(folder, brief, record) for record in whole}
    scores = [one.score for one in marks.values()]
    print("| metric | trials | rank correlation |\n| :-- | --: | :-- |")
    for metric in FIGURES:
        one = rank_correlation(scores, [tested[number][metric] for number in marks])
        print(f"| {metric} | {one.trials} | {one.words} |")
    print("\nScores at a rung against those at the end, as the trials were scored when they ran:")
    for steps in brief.rungs[:-1]:
        words = rank_correlation([one.score_at(steps) for one in whole], [one.score for one in whole]).words
        print(f"after {steps} steps: {words}")
    print("\nTrials with a better score than the default, trial 0, and what the test says of them:")
    for number, mark in marks.items():
        gained = gain([mark.families], [marks[0].families], rotated(brief.seed).steering)
        if gained is not None and gained.odds > 0:
            rises = ", ".join(f"{name} {100 * (tested[number][name] - tested[0][name]):+.1f}" for name in SHOWN)
            print(f"trial {number}: {gained}, {'sure' if gained.is_sure else 'not sure'}; {rises}")
    plot = out / f"rank-{category}.svg"
    pairs = [(one.score, tested[number]["image_auroc"]) for number, one in marks.items() if one.score is not None]
    plot.write_text(scatter(pairs, "objective", "image AUROC on test images"), encoding="utf-8")
    print(f"\n{plot}")


def marks_of(folder: SearchFolder, brief: Brief, record: TrialRecord) -> Marks:
    """How the net that a trial left does in the exam."""
    config, kept = record.as_config(), images_and_exam(brief, record.category)
    _, net = averaged_net(folder.work(record.number, record.category) / "checkpoint", config.model)
    crop = config.data.crop_size or config.data.image_size
    flips = choose_augmentation(config.augmentation, kept.images.source.sample_NCHW, crop).flips
    return kept.exam.sit(net, config.detection, torch.device("cpu"), symmetries=flips)


def scatter(pairs: list[tuple[float, float]], x: str, y: str) -> str:
    """A point a trial, as SVG; the axes span what there is."""
    points = np.array(pairs)
    low, high = points.min(0), points.max(0)
    at = 40 + 320 * (points - low) / np.maximum(high - low, 1e-9)
    dots = "".join(f'<circle cx="{a:.1f}" cy="{400 - b:.1f}" r="4" fill="#2563eb" fill-opacity=".7"/>' for a, b in at)
    words = "".join(
        f'<text x="{a}" y="{b}" text-anchor="{anchor}"{turn}>{word}</text>'
        for a, b, anchor, turn, word in (
            (200, 396, "middle", "", x),
            (14, 200, "middle", ' transform="rotate(-90 14 200)"', y),
            (40, 380, "start", "", f"{low[0]:.3f}"),
            (360, 380, "end", "", f"{high[0]:.3f}"),
            (36, 358, "end", "", f"{low[1]:.2f}"),
            (36, 46, "end", "", f"{high[1]:.2f}"),
        )
    )
    axes = '<path d="M40 40V364H364" fill="none" stroke="#6b7280"/>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" font-family="sans-serif" font-size="11">'
    return f'{head}<rect width="400" height="400" fill="#fff"/>{axes}{dots}{words}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("asha", "overhead", "rank"))
    parser.add_argument("data", nargs="?", help="with rank: a data set")
    parser.add_argument("--out", type=Path, required=True, help="folder for searches and data")
    parser.add_argument("--category", default=CATEGORY, help="(default: %(default)s)")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=None, help="(default: 6 to the end; 8 of a minute; 24 to rank)")
    parser.add_argument("--set", dest="words", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    base = with_words(preset(options.preset), ["data.image_size=128", *options.words])
    options.out.mkdir(parents=True, exist_ok=True)
    match options.what:
        case "asha":
            compare(options.out, base, options.repeats, options.trials or 6, options.category)
        case "overhead":
            measure_overhead(options.out, base, options.trials or 8, options.category)
        case "rank":
            if options.data is None:
                parser.error("rank needs a data set")
            rank(options.out, options.data, base, options.category, options.trials or 24)


if __name__ == "__main__":
    main()
