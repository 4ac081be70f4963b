"""The wheel that travels with a job: raysuite whole and alone, the same for the same content."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from raysuite.submission import shipping
from raysuite.submission.shipping import build_wheel


def test_the_wheel_holds_the_package_and_the_pages_of_the_report_and_nothing_else(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"raysuite/cli/main.py", "raysuite/py.typed", "raysuite/reporting/assets/report.html.j2"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"raysuite"}
    assert not [name for name in names if any(word in name for word in ("__pycache__", ".git", "tests", ".parquet"))]
    assert wheel.stat().st_size < 2e6
    assert "Requires-Dist" not in zipfile.ZipFile(wheel).read(next(n for n in names if n.endswith("METADATA"))).decode()


def test_the_same_content_is_the_same_wheel_and_is_not_written_twice(tmp_path: Path) -> None:
    first = build_wheel(tmp_path / "a")
    data, written = first.read_bytes(), first.stat().st_mtime_ns
    assert build_wheel(tmp_path / "a").stat().st_mtime_ns == written
    again = build_wheel(tmp_path / "b")
    assert (again.name, again.read_bytes()) == (first.name, data)


def test_pip_installs_it_without_an_index_and_raysuite_runs_from_it(tmp_path: Path) -> None:
    wheel, home = build_wheel(tmp_path), tmp_path / "home"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--target={home}", str(wheel)], check=True
    )
    code = "import json, raysuite; from raysuite.provenance import git_state as state; "
    code += "print(raysuite.__file__, json.dumps(state()))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    place, _, state = said.partition(" ")
    assert place == str(home / "raysuite" / "__init__.py")
    assert json.loads(state) == shipping.git_state()
