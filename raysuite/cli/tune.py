"""``tune``: a search for better settings."""

from __future__ import annotations

import json
from typing import Any

import click

from raysuite.cli.display import Display
from raysuite.cli.options import (
    LAST_SEED,
    Duration,
    address_option,
    build_config,
    category_option,
    data_argument,
    from_oracle,
    json_option,
    layout_option,
    settings_options,
)
from raysuite.cli.runs import FINISHED_WITH_FAILURES, gpu_share_option


@click.command()
@data_argument
@click.option("--run", required=True, metavar="FOLDER", help="The folder of the search, local or a URI.")
@category_option
@click.option("--per-category", is_flag=True, help="Search for each category by itself, not for settings to share.")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    default=("corruption",),
    show_default=True,
    metavar="SPACE",
    help="corruption, capacity, full, or a YAML file; given again, they are joined, the later one winning.",
)
@click.option("--fix", multiple=True, metavar="KEY=VALUE", help="Give a setting this value and do not search it.")
@click.option(
    "--search",
    type=click.Choice(("tpe", "random", "grid")),
    default="tpe",
    show_default=True,
    help="Where trials' settings come from.",
)
@click.option("--no-early-stopping", is_flag=True, help="Train every trial to the end; by default ASHA stops most.")
@click.option(
    "--objective",
    type=click.Choice(("good", "oracle")),
    default="good",
    show_default=True,
    help="Score trials by synthetic defects on good images, or, marked as an oracle, by the labels of the test images.",
)
@click.option(
    "--minimise",
    type=click.Choice(("latency", "parameters")),
    help="Let TPE search for this too, so that the front of trials that none beats in both is well filled.",
)
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", help="How many.  [default: 30, or 1000 with --time-budget]"
)
@click.option("--time-budget", type=Duration(), metavar="TIME", help="For the search alone: 45m, 8h, 7d.")
@click.option(
    "--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Trials at once.  [default: as many as fit]"
)
@click.option(
    "--first-rung",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="When trials are first scored, and most stopped.  [default: after a ninth, not before 150 or a third]",
)
@click.option(
    "--trial-timeout", type=Duration(), metavar="TIME", help="A trial that takes longer to its next score has failed."
)
@click.option("--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True, help="Of the search.")
@click.option("--warm-start", multiple=True, metavar="FOLDER", help="Try the best trials of an earlier search first.")
@click.option(
    "--final-seeds",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Fresh seeds that winner and default are retrained with, for the verdict; 0 for none.",
)
@layout_option
@settings_options
@gpu_share_option
@address_option
@click.option("--dry-run", is_flag=True, help="Print the space and what the search would take; do nothing else.")
@json_option
@click.pass_obj
def tune(obj: dict[str, Any], /, as_json: bool, dry_run: bool, **given: Any) -> None:
    """Search for better settings on DATA from its good images alone, and say whether they are better.

    Trials are short trainings that start from --preset or --config, scored by synthetic defects of families that no
    training draws. The best settings are left in FOLDER/best.yaml, for raysuite benchmark --config: the default's, if
    no trial is surely better. Then they and the default are retrained with fresh seeds and evaluated on the test
    images. The same command again goes on where it was stopped. Exit code 3 means that a retraining failed, or, with
    --per-category, that no trial of some category came to a score; if no trial at all did, it is 1.

    \b
    Examples:
      raysuite tune mvtec_ad --category grid --run tuned/grid --preset tiny --time-budget 1h
      raysuite tune mvtec_ad --run tuned/shared --space full --trials 200
      raysuite tune parts --run tuned/parts --space my-space.yaml --fix corruption.noise=none --dry-run
      raysuite tune parts --run tuned/fast --space capacity --minimise latency
    """
    from raysuite.pipelines.tuning import job  # noqa: PLC0415 -- Ray and torch take seconds to import
    from raysuite.reporting.search import text  # noqa: PLC0415

    request = _request(obj, **given)
    if dry_run:
        plan = job.plan(request)
        click.echo(json.dumps(plan.as_mapping(), indent=2, ensure_ascii=False) if as_json else _plan_words(plan))
        return
    with Display() as display:
        folder, summary = job.tune(request, display)
    root = folder.run.root
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        click.echo(text(summary))
        click.echo(f"\nReport: {root / 'report.html'}")
        for one in summary["outcomes"]:
            names = "".join(f" --category {name}" for name in one["categories"]) if given["per_category"] else ""
            click.echo(f"Next: raysuite benchmark DATA{names} --run RUN --config {root / one['file']}")
    if summary["without"] or (summary["final"] and summary["final"]["failed"]):
        raise SystemExit(FINISHED_WITH_FAILURES)


def _plan_words(plan: Any) -> str:
    card = plan.as_mapping()
    rows = [f"  {key}: {_domain(of)}" for key, of in card["space"].items()]
    searches = len(card["searches"])
    each = str(card["trials_each"]) + (f" in each of {searches} searches" if searches > 1 else "")
    nets = sum(map(len, card["searches"])) // searches
    more = f", on {nets} categories each" if nets > 1 else ""
    is_oracle = card["objective"] == "oracle"
    return "\n".join(
        [
            *(["ORACLE: trials are scored with the labels of the test images.", ""] if is_oracle else []),
            f"Searched, {len(rows)} settings",
            *rows,
            "",
            f"Trials: up to {each}{more}; {card['at_once']} at once, {plan.need.words()} each",
            f"Rungs: scored after {', '.join(map(str, card['rungs']))} steps",
            f"First: {len(card['first'])} given, starting with the default{_outside(plan)}; the others are drawn",
            f"Training: at most {card['steps_at_most']} steps in all, without what follows the search",
            *([f"None can begin yet: {card['lack']}"] if card["lack"] else []),
        ]
    )


def _outside(plan: Any) -> str:
    lacking = plan.space.lacking(plan.first[0])
    return f", but for {', '.join(lacking)}: its value is not in the space, so one is drawn" if lacking else ""


def _domain(of: dict[str, Any]) -> str:
    if "choices" in of:
        words = " | ".join(", ".join(map(str, one)) if isinstance(one, list) else str(one) for one in of["choices"])
    else:
        words = f"{of['low']:g} to {of['high']:g}" + (", log" if of.get("log") else "")
    if "when" in of:
        ((key, values),) = of["when"].items()
        words += f"  (if {key} is {' or '.join(map(str, values))})"
    return words


def _request(obj: dict[str, Any], **given: Any) -> Any:
    from raysuite.pipelines.tuning.plan import Request  # noqa: PLC0415

    config = build_config(
        given["name"], given["file"], given["image_size"], given["steps"], given["words"], given["fix"]
    )  # fmt: skip
    return Request(
        run=given["run"],
        data=given["data"],
        config=config,
        spaces=given["spaces"],
        fixed=tuple(word.partition("=")[0] for word in given["fix"]),
        layout=given["layout"],
        categories=given["categories"],
        per_category=given["per_category"],
        search=given["search"],
        early_stopping=not given["no_early_stopping"],
        minimise={"latency": "latency_ms"}.get(given["minimise"], given["minimise"]),
        oracle=given["objective"] == "oracle",
        from_oracle=from_oracle(given["file"]),
        trials=given["trials"],
        time_budget=given["time_budget"],
        max_concurrent=given["max_concurrent"],
        first_rung=given["first_rung"],
        trial_timeout=given["trial_timeout"],
        seed=given["seed"],
        warm_start=given["warm_start"],
        final_seeds=given["final_seeds"],
        gpu_share=given["gpu_share"],
        address=given["address"],
        arguments=obj["arguments"],
        worker_logs=obj["debug"],
    )
