import json
import shutil
import subprocess

import pytest

from raysuite import __version__, provenance
from raysuite.errors import RunError
from raysuite.storage import Location


def read(folder):
    return json.loads((folder / "provenance.json").read_text())


def test_commands_and_seeds_accumulate(tmp_path):
    root = Location.of(tmp_path)
    provenance.record(
        root, arguments=["train", "my data", "--seed", "1"], data={"fingerprint": "a"}, seeds=[1], objectives=["filter"]
    )
    provenance.record(root, arguments=["train", "größe"], data={"fingerprint": "b"}, seeds=[0, 1], objectives=["plain"])
    card = read(tmp_path)
    assert [c["command"] for c in card["commands"]] == [
        "raysuite train 'my data' --seed 1",
        "raysuite train 'größe'",
    ]
    assert all(c["at"].endswith("+00:00") for c in card["commands"])
    assert card["seeds"] == [0, 1]
    assert card["objectives"] == ["filter", "plain"]
    assert card["data"] == {"fingerprint": "b"}


def test_what_an_oracle_chose_stays_so_whatever_is_done_with_it_later(tmp_path):
    root = Location.of(tmp_path)
    for oracle in (False, True, False):
        provenance.record(root, arguments=["train"], data={}, seeds=[0], objectives=[], oracle=oracle)
        assert read(tmp_path).get("oracle", False) is (oracle or len(read(tmp_path)["commands"]) > 1)


@pytest.mark.parametrize("half", ["", '{"seeds": [', "[1]"])
def test_a_damaged_card_is_named_and_not_written_over(tmp_path, half):
    (tmp_path / "provenance.json").write_text(half)
    with pytest.raises(RunError, match=r"provenance\.json is damaged; remove it"):
        provenance.record(Location.of(tmp_path), arguments=["train"], data={}, seeds=[0], objectives=[])
    assert (tmp_path / "provenance.json").read_text() == half


def test_credentials_in_a_uri_are_not_repeated(tmp_path):
    words = ["train", "s3://KEY:word@bucket/parts?scheme=http&secret_key=hidden&region=x", "me@example.org"]
    provenance.record(Location.of(tmp_path), arguments=words, data={}, seeds=[0], objectives=[])
    (command,) = read(tmp_path)["commands"]
    assert "word@" not in command["command"]
    assert "hidden" not in command["command"]
    assert "://***@bucket/parts?scheme=http&secret_key=***&region=x" in command["command"]
    assert "me@example.org" in command["command"]


def test_the_card_says_what_it_ran_on(tmp_path):
    provenance.record(Location.of(tmp_path), arguments=[], data={}, seeds=[], objectives=[])
    card = read(tmp_path)
    assert card["raysuite"] == __version__
    assert card["versions"]["torch"]
    assert card["hardware"]["cores"] >= 1
    assert card["hardware"]["memory_gib"] > 0


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "raysuite" / "provenance.py"))
    assert provenance.git_state() is None
    provenance.record(Location.of(tmp_path), arguments=["train"], data={}, seeds=[0], objectives=[])
    assert read(tmp_path)["git"] is None


def test_without_git_or_with_a_broken_checkout_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "raysuite" / "provenance.py"))
    assert provenance.git_state() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_state() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_changed_checkout_is_told_from_a_clean_one(tmp_path, monkeypatch):
    def git(*words):
        done = subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@localhost", *words],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "raysuite" / "provenance.py"))
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "changed": False}
    (tmp_path / "new").write_text("an untracked file is no change")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "changed": False}
    (tmp_path / "a").write_text("2")
    assert provenance.git_state() == {"commit": git("rev-parse", "HEAD"), "changed": True}


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package-here"))
    assert provenance._version("no-such-package-here") is None
    assert provenance._version("numpy")
