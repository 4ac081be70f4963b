"""What a job spec says no to, before anything is sent, and what makes two jobs the same."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from raysuite import __version__
from raysuite.cli.main import main
from raysuite.errors import ConfigError
from raysuite.submission.spec import SUBCOMMANDS, JobSpec, Resources, RuntimeEnv

REPORT = JobSpec(name="report", command=("report", "s3://bucket/my runs"))
AROUND = {"submit", "jobs"}
"""Commands that are about clusters, and have no place in a job on one."""


def test_every_command_of_raysuite_may_be_a_job_but_those_about_jobs() -> None:
    assert set(SUBCOMMANDS) | AROUND == set(main.commands)


def test_the_entry_point_quotes_every_word_and_names_the_version() -> None:
    words = shlex.split(REPORT.entrypoint())
    assert words == [
        "python", "-m", "raysuite.submission.entry", "--version", __version__, "--", "report", "s3://bucket/my runs",
    ]  # fmt: skip
    hostile = replace(REPORT, command=("report", "$(touch /tmp/x); `id`"), timeout=90.0, python="/opt/my env/python")
    assert shlex.split(hostile.entrypoint())[-1] == "$(touch /tmp/x); `id`"
    assert shlex.split(hostile.entrypoint())[0] == "/opt/my env/python"
    assert "--timeout 90 --" in hostile.entrypoint()


def test_another_program_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"'rm', which is no command of raysuite.*--allow-command"):
        JobSpec(name="x", command=("rm", "-rf", "/"))
    assert JobSpec(name="x", command=("echo", "a b"), allow_command=True).entrypoint() == "echo 'a b'"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "My_Job"}, "name is 'My_Job'"),
        ({"name": "a" * 41}, "up to 40 small letters"),
        ({"command": ()}, "command is empty"),
        ({"command": ("raysuite", "report", "x")}, "begins with raysuite"),
        ({"retries": -1}, "retries is -1"),
        ({"timeout": 0.0}, "timeout must be more than 0"),
        ({"timeout": 5.0, "command": ("echo",), "allow_command": True}, "timeout is kept by raysuite's own"),
        ({"shared": ("mnt",)}, "shared has 'mnt'"),
        ({"python": "-c"}, "python is '-c'"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_with_its_key(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(REPORT, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "word",
    [
        "s3://AKIA123:secret@bucket/runs",
        "s3://bucket/runs?access_key=AKIA&secret_key=abc",
        "abfss://box@store.example/runs?tenant_id=a&client_id=b&client_secret=c",
        "https://account.blob.core.windows.net/runs?sv=1&sig=abc",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(word: str) -> None:
    for make in (
        lambda: replace(REPORT, command=("report", word)),
        lambda: replace(REPORT, metadata={"where": word}),
        lambda: RuntimeEnv(env_vars={"WHERE": word}),
        lambda: RuntimeEnv(pip=(f"pkg @ {word}",)),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert "secret@" not in str(caught.value)
        assert "abc" not in str(caught.value)


def test_an_endpoint_in_a_uri_is_no_secret() -> None:
    word = "s3://bucket/run?endpoint_override=10.0.0.5:9000&scheme=http"
    assert replace(REPORT, command=("report", word)).command[1] == word


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "HF_TOKEN", "DB_PASSWORD", "RAY_AUTH_TOKEN"]
)
def test_a_variable_that_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} looks like a secret.*set it on the nodes"):
        RuntimeEnv(env_vars={name: "x"})


def test_options_of_pip_are_refused() -> None:
    with pytest.raises(ConfigError, match="it takes requirements"):
        RuntimeEnv(pip=("--index-url=https://example.invalid",))


def test_resources_are_not_negative() -> None:
    with pytest.raises(ConfigError, match=r"resources.num_gpus is -1"):
        Resources(num_gpus=-1)


def test_a_job_that_runs_the_same_has_the_same_id_however_it_is_looked_after() -> None:
    same = replace(REPORT, retries=5, timeout=100.0, metadata={"for": "me"}, shared=("/mnt",))
    assert same.submission_id(3) == REPORT.submission_id(3)
    assert REPORT.submission_id(2) == REPORT.submission_id(1)[:-1] + "2"
    others = [
        replace(REPORT, name="other"),
        replace(REPORT, command=("report", "s3://bucket/my", "runs")),
        replace(REPORT, resources=Resources(num_cpus=1)),
        replace(REPORT, runtime_env=RuntimeEnv(pip=("adlfs",))),
        replace(REPORT, wheel="/a/raysuite-1.whl"),
    ]
    assert len({one.digest() for one in [REPORT, *others]}) == 6
    assert replace(REPORT, wheel="/b/raysuite-1.whl").digest() == others[-1].digest()


def test_a_stopped_job_is_interrupted_as_by_ctrl_c_and_given_time() -> None:
    environment = REPORT.ray_runtime_env()
    assert environment["env_vars"] == {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
    assert "pip" not in environment
