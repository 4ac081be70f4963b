"""``raysuite demo``: the whole pipeline on the built-in benchmark, in minutes and without any data."""

from __future__ import annotations

from typing import Any

import click

from raysuite.cli.display import Display
from raysuite.cli.options import LAST_SEED, json_option
from raysuite.cli.runs import show_results
from raysuite.storage import Location

IMAGE_SIZE = 128


@click.command()
@click.option("--folder", default="demo", show_default=True, metavar="FOLDER", help="Where its images and run go.")
@click.option(
    "--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True, help="Of the images and of the training."
)
@json_option
@click.pass_obj
def demo(obj: dict[str, Any], folder: str, seed: int, as_json: bool) -> None:
    """Draw three small categories, train a detector for each, and report how good they are.

    It needs no data and no GPU, and takes two to four minutes on two cores. It is the same as

    \b
      raysuite data synth demo/data-0 --seed 0
      raysuite benchmark demo/data-0 --run demo/run-0 --preset tiny --image-size 128
    """
    from raysuite.datasets.procedural import write_benchmark  # noqa: PLC0415 -- slow imports
    from raysuite.pipelines import benchmark as pipeline  # noqa: PLC0415
    from raysuite.settings import preset, with_words  # noqa: PLC0415

    home = Location.of(folder)
    images = home / f"data-{seed}"
    count = write_benchmark(images, seed=seed, image_size=IMAGE_SIZE)
    click.echo(f"Drew {count} images of 3 categories in {images}.", err=True)
    request = pipeline.Request(
        run=str(home / f"run-{seed}"),
        data=(str(images),),
        config=with_words(preset("tiny"), [f"data.image_size={IMAGE_SIZE}"]),
        seeds=(seed,),
        arguments=obj["arguments"],
        worker_logs=obj["debug"],
    )
    with Display() as display:
        opened, rows = pipeline.benchmark(request, display)
    show_results(opened.root, rows, as_json=as_json, report=opened.root / "report.html")
