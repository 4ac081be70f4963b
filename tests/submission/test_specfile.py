"""Job specs from YAML: their parameters, and what is wrong with them said with the nearest right word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysuite.errors import ConfigError
from raysuite.submission.specfile import KEYS, spec_from_words, spec_from_yaml

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"
SPEC = """
name: mine
command: benchmark ${data} --run ${run} --preset ${preset} --set detection.flips=${flips}
parameters: {data: null, run: null, preset: tiny, flips: 2}
resources: {num_cpus: 0.5, memory: 1.5GiB}
runtime_env: {env_vars: {OMP_NUM_THREADS: 2}, pip: [adlfs==1], setup_timeout: 5m}
retries: 2
timeout: 1d12h
metadata: {ticket: 17}
shared: [/mnt]
python: python3
"""
GIVEN = ("data=s3://b/parts", "run=s3://b/run")


def test_a_spec_is_read_with_the_values_that_are_given_and_the_defaults_of_others() -> None:
    spec = spec_from_yaml(SPEC, given=GIVEN, more=("--category", "screw"))
    assert spec.command == (
        "benchmark", "s3://b/parts", "--run", "s3://b/run", "--preset", "tiny", "--set", "detection.flips=2",
        "--category", "screw",
    )  # fmt: skip
    assert (spec.resources.num_cpus, spec.resources.num_gpus, spec.resources.memory) == (0.5, 0.0, 3 * 2**29)
    assert spec.runtime_env.env_vars == {"OMP_NUM_THREADS": "2"}
    assert (spec.runtime_env.pip, spec.runtime_env.setup_timeout) == (("adlfs==1",), 300.0)
    assert (spec.retries, spec.timeout, spec.metadata) == (2, 129600.0, {"ticket": "17"})
    assert (spec.shared, spec.python) == (("/mnt",), "python3")


def test_a_value_is_one_word_whatever_is_in_it_and_several_values_are_several_words() -> None:
    spec = spec_from_yaml(SPEC, given=("data=my parts", "data=$(id) ${run}", "run=r", "preset=base"))
    assert spec.command[:4] == ("benchmark", "my parts", "$(id) ${run}", "--run")
    assert "base" in spec.command


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: mine", "nam: mine", "there is no nam; did you mean name?"),
        ("num_cpus: 0.5", "cpus: 1", "there is no resources.cpus; did you mean resources.num_cpus?"),
        ("pip: [adlfs==1]", "conda: x", "there is no runtime_env.conda"),
        ("pip: [adlfs==1]", "working_dir: .", "there is no runtime_env.working_dir"),
        ("pip: [adlfs==1]", "pip: adlfs", "runtime_env.pip must be a list"),
        ("retries: 2", "retries: two", "retries is 'two', but it must be a whole number"),
        ("timeout: 1d12h", "timeout: soon", "timeout is 'soon', but it must be a time"),
        ("timeout: 1d12h", "timeout: 12", "timeout is 12, but it must be a time"),
        ("memory: 1.5GiB", "memory: lots", "resources.memory is 'lots', but it must be a size"),
        ("{ticket: 17}", "{ticket: [1]}", "metadata.ticket is \\[1\\], but it must be text"),
        ("${preset}", "${prest}", "command has \\${prest}, but parameters has no prest"),
        ("command: b", "command: '\"' # b", "quote that is not closed"),
        ("name: mine", "name: [", "is not valid YAML at line"),
        ("name: mine", "name: 2024-13-45", "is not valid YAML|name is"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_source_and_the_nearest_word(old: str, new: str, told: str) -> None:
    assert old in SPEC
    with pytest.raises(ConfigError, match=told) as caught:
        spec_from_yaml(SPEC.replace(old, new, 1), "my.yaml", given=GIVEN)
    assert str(caught.value).startswith("my.yaml")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("data=x",), "it needs --set run=…"),
        ((), "it needs --set data=…, --set run=…"),
        ((*GIVEN, "sed=1"), "there is no parameter sed; did you mean"),
        ((*GIVEN, "preset"), "--set takes parameter=value"),
        ((*GIVEN, "preset=--help"), "a value may not begin with a hyphen"),
        ((*GIVEN, "flips=1", "flips=2"), "flips has 2 values, but detection.flips=|flips has 2 values"),
    ],
)
def test_values_that_do_not_fit_the_parameters_are_refused(given: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        spec_from_yaml(SPEC, given=given)


def test_a_spec_may_name_no_other_program_and_no_secret() -> None:
    with pytest.raises(ConfigError, match="--allow-command"):
        spec_from_yaml("{name: x, command: curl http://example.invalid}")
    with pytest.raises(ConfigError, match="looks like a secret"):
        spec_from_yaml("{name: x, command: demo, runtime_env: {env_vars: {MY_TOKEN: abc}}}")
    with pytest.raises(ConfigError, match="it has no command"):
        spec_from_yaml("{name: x}")
    with pytest.raises(ConfigError, match="must be a mapping"):
        spec_from_yaml("- x")


def test_a_command_given_word_by_word_is_named_after_its_first_one() -> None:
    spec = spec_from_words(("data", "shard", "s3://a", "s3://b"))
    assert (spec.name, spec.command, spec.retries, spec.timeout) == (
        "data",
        ("data", "shard", "s3://a", "s3://b"),
        0,
        None,
    )
    assert spec_from_words(("/usr/bin/Env_1",), allow_command=True).name == "env-1"


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_specs_that_come_with_raysuite_say_what_they_need(path: Path) -> None:
    with pytest.raises(ConfigError, match="it needs --set"):
        spec_from_yaml(path.read_text(), str(path))
    assert f"raysuite submit jobs/{path.name} --set" in path.read_text()


def test_every_key_of_a_spec_is_documented_and_the_example_is_one() -> None:
    page = (ROOT / "docs" / "submitting.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(KEYS)
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert spec_from_yaml(example, given=["input=s3://bucket/2026"]).timeout == 12 * 3600
