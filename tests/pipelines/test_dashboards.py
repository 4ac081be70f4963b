"""The Grafana dashboards: whole, about metrics that exist, and, on a real Prometheus, with data in every panel."""

from __future__ import annotations

import ast
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysuite import settings
from raysuite.pipelines import benchmark, scoring
from raysuite.pipelines.progress import Event
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.search import Manner, search
from raysuite.pipelines.tuning.trial import Brief
from raysuite.planning import Need
from raysuite.tuning.space import Dimension, Float, Space
from tests.scoring.archive import write_pictures

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "grafana"
DASHBOARDS = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
ONLY_GPUS = "Only nodes with a GPU export this"
"""In the description of a panel that has no data on a machine without one."""

OF_RAY = {
    "ray_actors", "ray_object_store_available_memory", "ray_object_store_memory", "ray_object_store_used_memory",
    "ray_resources", "ray_spill_manager_objects_bytes", "ray_tasks",
}  # fmt: skip
"""Ray's own that its processes in C++ export: seen in a scrape of Ray 2.60. Those of nodes are listed in its Python."""

WORDS = [
    "data.image_size=64", "model.dilations=[1,2]", "detection.choice=fixed", "training.precision=float32",
    "training.steps=18", "training.log_every=2", "training.batch_size=2",
]  # fmt: skip


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: dict[str, Any]) -> list[str]:
    """Those of all panels and variables."""
    variables = [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]] + variables


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", query))


def exported_names() -> set[str]:
    """Names that our code exports, as Prometheus sees them."""
    found = set()
    for file in (ROOT / "raysuite" / "pipelines").glob("exported*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Gauge", "Counter"}:
                name = node.args[0]
                assert isinstance(name, ast.Constant)
                found.add(f"ray_{name.value}" + ("_total" if node.func.id == "Counter" else ""))
    return found


@pytest.mark.parametrize("name", DASHBOARDS)
class TestEachDashboard:
    """What Grafana needs, and what a reader needs."""

    def test_it_can_be_imported_as_it_is(self, name: str) -> None:
        dashboard = DASHBOARDS[name]
        assert dashboard["uid"] == f"raysuite-{name}"
        assert dashboard["id"] is None, "Grafana gives it"
        assert dashboard["schemaVersion"] >= 36
        source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
        variables = {one["name"]: one for one in dashboard["templating"]["list"]}
        assert variables["DS_PROMETHEUS"]["type"] == "datasource"
        targets = [target for panel in panels(dashboard) for target in panel["targets"]]
        asked = [one for one in variables.values() if one["type"] == "query"]
        assert all(one["datasource"] == source for one in [*panels(dashboard), *targets, *asked])
        used = set(re.findall(r"\$(\w+)", json.dumps([target["expr"] for target in targets])))
        assert used - {"__rate_interval"} == {one["name"] for one in asked}

    def test_panels_have_their_own_ids_and_places(self, name: str) -> None:
        every = DASHBOARDS[name]["panels"]
        assert len({panel["id"] for panel in every}) == len(every)
        taken: set[tuple[int, int]] = set()
        for panel in every:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
            assert not cells & taken, f"{panel['title']} lies over another one"
            taken |= cells

    def test_panels_say_what_they_show_and_in_which_unit(self, name: str) -> None:
        for panel in panels(DASHBOARDS[name]):
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])

    def test_every_metric_it_asks_for_is_exported(self, name: str) -> None:
        from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES  # only after raysuite's import

        known = exported_names() | OF_RAY | {f"ray_{gauge}" for gauge in METRICS_GAUGES}
        assert {metric for query in queries(DASHBOARDS[name]) for metric in names_in(query)} <= known


def test_no_two_dashboards_have_the_same_name() -> None:
    assert set(DASHBOARDS) == {"training", "tuning", "scoring", "nodes"}
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_every_metric_of_ours_is_shown_and_documented() -> None:
    shown = {name for dashboard in DASHBOARDS.values() for query in queries(dashboard) for name in names_in(query)}
    guide = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(ray_raysuite_\w+)`", guide))
    assert exported_names() <= shown
    assert exported_names() == told


class Prometheus:
    """A Prometheus of our own, with the settings that are shipped but for the place of the list, and its haste."""

    def __init__(self, home: Path, target: str) -> None:
        listed, config = home / "targets.json", home / "prometheus.yml"
        listed.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": [target]}]))
        shipped = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
        place = "/tmp/ray/prom_metrics_service_discovery.json"  # noqa: S108 -- Ray's own, of whatever Ray ran last
        assert place in shipped
        assert "scrape_interval: 10s" in shipped
        config.write_text(shipped.replace(place, str(listed)).replace("scrape_interval: 10s", "scrape_interval: 1s"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.began = time.time()
        with (home / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={config}", f"--storage.tsdb.path={home / 'data'}",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query has since this server began: gauges end with the work that they are of."""
        span = {"start": self.began, "end": time.time(), "step": 1}
        words = urllib.parse.urlencode({"query": query, **span})
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query_range?{words}", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def lacks(self, wanted: set[str]) -> set[str]:
        """Those of the queries that have no data after a minute."""
        deadline = time.monotonic() + 60
        while wanted and time.monotonic() < deadline:
            try:
                wanted = {query for query in wanted if not self.ask(query)}
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{wanted}: {error.read().decode()}") from error
            except urllib.error.URLError:
                assert self.process.poll() is None, "it is not up yet"
            time.sleep(0.5)
        return wanted


@pytest.fixture(scope="module")
def prometheus(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that scrapes the node of the tests."""
    if shutil.which("prometheus") is None:
        pytest.skip("there is no prometheus on this machine (Debian has it in a package of that name)")
    import ray

    node = ray.nodes()[0]
    server = Prometheus(tmp_path_factory.mktemp("prom"), f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}")
    yield server
    server.process.terminate()
    server.process.wait(timeout=30)


def no_answer(_event: Event) -> None:
    pass


@pytest.fixture(scope="module")
def worked(prometheus: Prometheus, small_benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tiny fleet of which one fails, a tiny search and a tiny archive with a file that is no image."""
    home = tmp_path_factory.mktemp("worked")
    data = home / "data"
    shutil.copytree(small_benchmark / "weave", data / "weave")
    shutil.copytree(small_benchmark / "weave", data / "broken")
    for image in sorted((data / "broken" / "train" / "good").iterdir())[1:]:
        image.write_bytes(b"no image")
    config = settings.with_words(settings.preset("tiny"), WORDS)
    run, failed = benchmark.train(benchmark.Request(str(home / "run"), (str(data),), config), no_answer)
    assert [member.category for member in failed] == ["broken"]
    space = Space((Dimension("training.learning_rate", Float(1e-4, 1e-3, log=True)),))
    brief = Brief(run.root.uri, config, space.validated(config), ("weave",), (6, 18), 0, False, 1)
    search(SearchFolder(run), brief, Manner("random", False, None, 2, None, 2, Need(1, 1, 0.0)), ())
    write_pictures(home / "in", 12)
    (home / "in" / "line-0" / "text.png").write_bytes(b"no image")
    asked = scoring.Request((str(home / "in"),), (str(home / "run" / "weave"),), str(home / "out"), unit_size=4)
    summary = scoring.score(replace(asked, batch_size=4, engine="eager"))
    assert (summary["scored"], summary["failed"]) == (12, 1)


def plain(query: str) -> str:
    """As Grafana asks when nothing is chosen."""
    return re.sub(r"\$(session|category|model|node)", ".*", query.replace("$__rate_interval", "5m"))


@pytest.mark.ray
@pytest.mark.usefixtures("worked")
class TestOnARealPrometheus:
    """What it has scraped of a real run."""

    def test_every_query_of_every_panel_has_data(self, prometheus: Prometheus) -> None:
        asked = [panel for dashboard in DASHBOARDS.values() for panel in panels(dashboard)]
        here = [panel for panel in asked if ONLY_GPUS not in panel["description"]]
        exempt = {panel["title"] for panel in asked if panel not in here}
        assert exempt == {"GPUs by Ray's books", "GPU", "GPU memory"}
        assert not prometheus.lacks({plain(target["expr"]) for panel in here for target in panel["targets"]})
        # A query may say 0 where there is nothing: here there is something of everything.
        assert not prometheus.lacks({name for panel in here for t in panel["targets"] for name in names_in(t["expr"])})

    def test_every_variable_has_values(self, prometheus: Prometheus) -> None:
        for query in {query for dashboard in DASHBOARDS.values() for query in queries(dashboard)}:
            if found := re.fullmatch(r"label_values\((\w+), (\w+)\)", query):
                metric, label = found.groups()
                assert {sample["metric"][label] for sample in prometheus.ask(metric)}, query

    def test_the_figures_are_those_of_the_run(self, prometheus: Prometheus) -> None:
        # A comparison has data once it is true. Other tests, of the same driver, count up what is counted up.
        assert not prometheus.lacks(
            {
                'ray_raysuite_scoring_images{state="scored"} == 12',
                'ray_raysuite_scoring_images{state="left"} == 0',
                "ray_raysuite_scoring_units_left == 0",
                'ray_raysuite_trainings{state="trained"} == 1',
                'ray_raysuite_trainings{state="failed"} == 1',
                'ray_raysuite_trials{search="weave", state="done"} == 2',
                'ray_raysuite_training_failures_total{category="broken"} >= 2',
                'ray_raysuite_tuning_steps_total{search="weave"} >= 36',
                'ray_raysuite_scoring_failures_total{kind="Undecodable"} >= 1',
                'max(ray_raysuite_tuning_best_score{category="weave", steps="18", objective="good"}) <= 1',
            }
        )
