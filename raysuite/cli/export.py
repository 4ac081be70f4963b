"""``raysuite export``: a detector in a file for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from raysuite.cli.options import json_option


@click.command()
@click.argument("model", metavar="RUN/CATEGORY")
@click.option(
    "--format", "kind", type=click.Choice(("onnx", "openvino", "torch")), required=True, help="For which runtime."
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE",
    help="The file: .onnx, .xml for openvino (its weights go beside it, in a .bin), .pt2 for torch.",
)  # fmt: skip
@json_option
def export(model: str, kind: str, output: Path, as_json: bool) -> None:
    """Write the detector of RUN/CATEGORY for other programs: images in, scores and maps out.

    The file takes images as (N, H, W, 3) uint8 RGB of the detector's size, any N, and does all that comes after:
    scaling, the net, smoothing, normalisation and pooling. What it computes is compared with the detector before it is
    kept. The threshold is in its metadata.

    \b
    Examples:
      raysuite export runs/parts/screw --format onnx --output screw.onnx
      raysuite export runs/parts/screw --format openvino --output screw.xml
      raysuite export runs/parts/screw --format torch --output screw.pt2
    """
    from raysuite.detection.detector import Detector  # noqa: PLC0415 -- torch takes seconds to import
    from raysuite.engines.export import export as write  # noqa: PLC0415
    from raysuite.errors import ConfigError  # noqa: PLC0415
    from raysuite.scoring.models import find_models  # noqa: PLC0415

    found = find_models([model], None)
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise ConfigError(f"{model} has the detectors of several categories, and a file holds one: name one of {names}")
    detector = Detector.load(found[0].uri)
    made = write(detector, kind, output)
    height, width = detector.size
    files = [str(path) for path in made.files]
    record = {
        "files": files,
        "format": kind,
        "category": detector.category,
        "size": [height, width],
        "threshold": detector.threshold,
        "max_relative_deviation": made.deviation,
    }
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    click.echo(f"{' and '.join(files)}: {detector.category} as {kind}")
    click.echo(
        f"Input: images, (N, {height}, {width}, 3) uint8 RGB. Output: scores, (N,); maps, (N, {height}, {width})"
    )
    click.echo(f"Anomalous above {detector.threshold:.6g}")
    click.echo(f"Deviation from the detector: at most {made.deviation:.1e}, relative")
