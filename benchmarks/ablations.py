"""What each part of the method contributes: one part changed at a time, everything else as it is.

    python -m benchmarks.ablations mvtec_ad kolektor_sdd --out ablations --table noise --seeds 0,1

Every (category, variant, seed) is trained once, in one of several processes, and leaves its detector and a file of
figures in the folder given by --out; the same command again does only what is missing, and prints the tables as
Markdown. Without its file of figures a unit is measured anew from its detector, not trained again. Test figures serve
the tables alone. The last table says how well the score on synthetic defects ranked the trainings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.measuring import calibrated, figures_on_test, fit, load, remembered_passes
from raysuite.config import ERRORS, FILLS, OBJECTIVES, Config
from raysuite.datasets.layouts import find_entries
from raysuite.detection.detector import Detector
from raysuite.settings import for_objective, preset, to_yaml, with_words
from raysuite.storage import Location

# Each variant is a list of --set words; the empty one is the default, shared by all tables.
TABLES: dict[str, dict[str, list[str]]] = {
    "noise": {
        "preserved": [],
        "removed": ["corruption.noise=removed"],
        "none": ["corruption.noise=none"],
    },
    "lambda": {"0.5": [], "0.1": ["objective.repair_weight=0.1"], "0.9": ["objective.repair_weight=0.9"]},
    "fills": {"all": [], **{f"without {name}": [f"corruption.fills.{name}.weight=0"] for name in FILLS}},
    "skips": {"convex": [], "concat": ["model.skip=concat"], "none": ["model.skip=none"]},
    "template": {
        "where images lie alike": [],
        "none": ["model.template=off"],
        "none, turned freely": ["model.template=off", "augmentation.rotation=free"],
    },
    "output": {"direct": [], "convex": ["model.output=convex"]},
    "opacity": {"half transparent": [], "all opaque": ["corruption.opaque_share=1"]},
    "objective": {"filter": [], **{kind: [f"objective.kind={kind}"] for kind in OBJECTIVES if kind != "filter"}},
}
# These need no training of their own: they read another map or score off the default's nets.
READINGS: dict[str, dict[str, list[str]]] = {
    "error": {kind: [f"detection.error={kind}"] for kind in ERRORS},
    "smoothing": {
        f"{passes} × box {kernel}": [
            f"detection.{part}_{name}={value}"
            for part in ("map", "score")
            for name, value in (("kernel", kernel), ("passes", passes))
        ]
        for kernel, passes in ((1, 0), (5, 2), (11, 3), (21, 3))
    },
    "pooling": {
        "max": ["detection.pooling=max"],
        "top 0.1 %": ["detection.score_share=0.001"],
        "top 0.5 %": ["detection.score_share=0.005"],
        "top 2 %": ["detection.score_share=0.02"],
        "mean": ["detection.pooling=mean"],
    },
    "normalisation": {
        kind: [f"detection.map_normalise={kind}", f"detection.score_normalise={kind}"]
        for kind in ("place", "image", "none")
    },
}
TEST = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
SHOWN = {**TEST, "validation": "validation score"}


def configured(base: Config, words: list[str]) -> Config:
    """The base with a variant's words; an objective brings what it needs of the net."""
    kinds = [word.partition("=")[2] for word in words if word.startswith("objective.kind=")]
    return for_objective(base, kinds[0]) if kinds else with_words(base, words)


def unit_file(out: Path, category: str, config: Config, seed: int, device: str) -> Path:
    """Where the figures of one training lie: the name follows from everything that decides them."""
    decisive = to_yaml(config) + ("" if device == "cpu" else device)
    digest = hashlib.sha256(decisive.encode()).hexdigest()[:12]
    return out / f"{category}-{digest}-{seed}.json"


def kept_folder(out: Path, category: str, config: Config, seed: int, device: str) -> Path:
    """Where the detector of one training lies: nothing about map and score decides it."""
    decisive = json.dumps({**asdict(config), "detection": None}, default=str) + device
    return out / f"{category}-{hashlib.sha256(decisive.encode()).hexdigest()[:12]}-{seed}"


def lacks(file: Path, readings: list[str]) -> list[str]:
    """The tables of `READINGS` that a unit's file of figures has nothing of."""
    there = json.loads(file.read_text())["readings"] if file.exists() else {}
    return [table for table in readings if any(f"{table}/{label}" not in there for label in READINGS[table])]


def measure(job: tuple[str, str, Config, int, list[str], Path, str]) -> str:
    """Train and measure what is missing of one unit, and write its file."""
    root, category_name, config, seed, readings, file, device = job
    torch.set_num_threads(1)
    start = time.perf_counter()
    category = load(find_entries(Location.of(root), categories=[category_name]), category_name, config)
    kept = kept_folder(file.parent, category_name, config, seed, device)
    if not (kept / "detector.json").exists():
        trained = fit(category, config, seed, device)
        on = f"{device}, {trained.precision}, {'compiled' if trained.compilation.used else 'as written'}"
        calibrated(
            category, trained.net, config, seed, trained.augmentation.flips,
            provenance={"on": on, "training_seconds": trained.seconds},
        ).save(kept)  # fmt: skip
    saved = Detector.load(kept, device)
    detector = calibrated(category, saved.net, config, seed, saved.symmetries)
    figures: dict[str, Any] = {
        "test": figures_on_test(category, detector),
        "validation": detector.provenance["validation"],
        "chosen": {"detection": str(detector.detection)},
        "template": saved.net.has_template,
        **{name: saved.provenance[name] for name in ("on", "training_seconds")},
        "seconds": time.perf_counter() - start,
        "readings": json.loads(file.read_text())["readings"] if file.exists() else {},
    }
    fixed = replace(config, detection=replace(config.detection, choice="fixed"))
    with remembered_passes(saved.net):
        for table in readings:
            for label, words in READINGS[table].items():
                reading = calibrated(category, saved.net, with_words(fixed, words), seed, saved.symmetries)
                figures["readings"][f"{table}/{label}"] = {
                    **figures_on_test(category, reading), "validation": reading.provenance["validation"]["score"],
                }  # fmt: skip
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(figures, indent=1))
    partial.replace(file)
    return f"{category_name} {file.stem}: {figures['test']['image_auroc']:.4f} in {figures['seconds']:.0f} s"


def cell(values: list[float]) -> str:
    """Mean and spread over seeds, in per cent."""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def print_table(title: str, rows: dict[str, dict[str, dict[str, list[float]]]], categories: list[str]) -> None:
    """One Markdown table: a row a variant, and for each category the figures of `SHOWN`."""
    print(f"\n### {title}\n")
    print("| | " + " | ".join(f"{c}: {' / '.join(SHOWN.values())}" for c in categories) + " |")
    print("| :-- |" + " --: |" * len(categories))
    for label, of in rows.items():
        cells = [" / ".join(cell(of[c][key]) for key in SHOWN) if of.get(c) else "–" for c in categories]
        print(f"| {label} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", help="data sets in a known layout")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures of each training")
    parser.add_argument("--table", action="append", choices=[*TABLES, *READINGS], help="only this one (default: all)")
    parser.add_argument("--variant", action="append", help="only this row of the tables (default: all)")
    parser.add_argument("--category", action="append", help="only this one")
    parser.add_argument("--seeds", default="0", help="comma-separated (default: %(default)s)")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", dest="words", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--processes", type=int, default=2, help="trainings at once, a core each")
    parser.add_argument("--device", default="cpu", help="of all trainings: cpu (default) or cuda, which they share")
    options = parser.parse_args()
    unknown = set(options.variant or []) - {label for rows in TABLES.values() for label in rows}
    if unknown:
        parser.error(f"no table has the row {', '.join(sorted(unknown))}")
    base = with_words(preset(options.preset), options.words)
    tables = options.table or [*TABLES, *READINGS]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    options.out.mkdir(parents=True, exist_ok=True)
    roots = {c: root for root in options.data for c in find_entries(Location.of(root)).categories}
    categories = [c for c in roots if not options.category or c in options.category]
    shown = {
        table: {label: words for label, words in TABLES[table].items() if label in (options.variant or TABLES[table])}
        for table in tables
        if table in TABLES
    }
    variants = {(): base} | {
        tuple(words): configured(base, words) for rows in shown.values() for words in rows.values()
    }
    units_to_do: dict[Path, tuple[str, str, Config, int, list[str], Path, str]] = {}
    for seed in seeds:
        for words, config in variants.items():
            for category in categories:
                file = unit_file(options.out, category, config, seed, options.device)
                missing = lacks(file, [table for table in tables if table in READINGS] if words == () else [])
                # A variant that --set has made the base is one unit with it, which comes first.
                if missing or not file.exists():
                    job = (roots[category], category, config, seed, missing, file, options.device)
                    units_to_do.setdefault(file, job)
    jobs = list(units_to_do.values())
    print(f"{len(jobs)} units to do", flush=True)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for number, line in enumerate(pool.imap(measure, jobs), 1):
            print(f"[{number}/{len(jobs)}] {line}", flush=True)

    def units(config: Config, category: str) -> list[dict[str, Any]]:
        files = [unit_file(options.out, category, config, seed, options.device) for seed in seeds]
        return [json.loads(file.read_text()) for file in files]

    def collected(found: list[dict[str, Any]]) -> dict[str, list[float]]:
        return {key: [figures[key] for figures in found] for key in SHOWN}

    def of_unit(unit: dict[str, Any]) -> dict[str, float]:
        return {**unit["test"], "validation": unit["validation"]["score"]}

    for table in tables:
        rows: dict[str, dict[str, dict[str, list[float]]]] = {}
        if table in TABLES:
            for label, words in shown[table].items():
                of = {c: units(variants[tuple(words)], c) for c in categories}
                rows[label] = {c: collected([of_unit(unit) for unit in of[c]]) for c in categories}
        else:
            for label in READINGS[table]:
                of = {c: units(base, c) for c in categories}
                key = f"{table}/{label}"
                rows[label] = {c: collected([unit["readings"][key] for unit in of[c]]) for c in categories}
        print_table(table, rows, categories)
    print("\n### Does synthetic validation rank the trainings as the test does?\n")
    print("| category | trainings | Spearman with image AUROC | with pixel AUROC | with AUPRO |")
    print("| :-- | --: | --: | --: | --: |")
    for category in categories:
        every = [unit for config in variants.values() for unit in units(config, category)]
        score = [unit["validation"]["score"] for unit in every]
        ranks = [spearmanr(score, [unit["test"][key] for unit in every]).statistic for key in TEST]
        print(f"| {category} | {len(every)} | " + " | ".join(f"{rank:.2f}" for rank in ranks) + " |")


if __name__ == "__main__":
    main()
