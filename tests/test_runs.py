import dataclasses
import time

import pytest
import yaml

from raysuite.config import Config, DetectionConfig, TrainingConfig
from raysuite.datasets.entries import Source
from raysuite.errors import ConfigError, RunError
from raysuite.runs import Run
from raysuite.settings import PRESETS, differences, for_objective, from_yaml, is_oracle


@pytest.fixture
def where(tmp_path):
    return str(tmp_path / "run")


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_command_reopens_its_run(where, name):
    made = Run.create(where, [Source("/data", "folders")], PRESETS[name])
    assert Run.create(where, [Source("/data", "folders")], PRESETS[name]) == made
    assert Run.open(where) == made
    assert made.config == PRESETS[name]


def test_another_configuration_is_refused_with_key_old_and_new_value(where):
    Run.create(where, [Source("/data", "folders")], Config())
    other = Config(training=TrainingConfig(steps=7))
    with pytest.raises(ConfigError, match=r"training\.steps was 3200 and is now 7.*--run"):
        Run.create(where, [Source("/data", "folders")], other)
    assert Run.open(where).config == Config()


def test_other_data_are_refused_with_old_and_new_place(where):
    Run.create(where, [Source("/data", "folders")], Config())
    with pytest.raises(ConfigError, match="data was '/data' and is now '/other'"):
        Run.create(where, [Source("/other", "folders")], Config())


def test_another_layout_of_the_same_data_is_refused(where):
    Run.create(where, [Source("/data", "folders")], Config())
    with pytest.raises(ConfigError, match="layout of '/data' was 'folders' and is now 'plain'"):
        Run.create(where, [Source("/data", "plain")], Config())


def test_several_data_sets_may_be_named_in_any_order(where):
    one, two = Source("/data", "folders"), Source("s3://bucket/data", "visa")
    made = Run.create(where, [one, two], Config())
    assert Run.open(where) == made
    assert made.sources == (one, two)
    assert Run.create(where, [two, one], Config()) == made


def test_credentials_of_a_data_set_are_not_written_and_make_no_other_run_of_it(where, tmp_path):
    uri = "s3://KEY:word@bucket/parts?region=x&secret_key=hidden"
    made = Run.create(where, [Source(uri, "mvtec")], Config())
    file = tmp_path / "run" / "config.yaml"
    text = file.read_text()
    assert not any(secret in text for secret in ("KEY", "word", "hidden"))
    assert "s3://***@bucket/parts?region=x&secret_key=***" in text
    assert Run.create(where, [Source(uri, "mvtec")], Config()) == made
    assert Run.create(where, [Source(uri.replace("word", "new"), "mvtec")], Config()) == made
    with pytest.raises(ConfigError, match="data was 's3://\\*\\*\\*@bucket/parts"):
        Run.create(where, [Source("s3://KEY:word@bucket/others", "mvtec")], Config())
    file.write_text(text.replace("***@", "KEY:word@").replace("secret_key=***", "secret_key=hidden"))
    assert Run.create(where, [Source(uri, "mvtec")], Config()) == made, "as an older raysuite left it"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (["/a"], "it has the data set '/b', which is not named now"),
        (["/a", "/b", "/c"], "it does not have the data set '/c'"),
        (["/a", "/c"], "it has the data set '/b', which is not named now; it does not have the data set '/c'"),
    ],
)
def test_a_data_set_more_or_less_is_refused_by_name(where, now, told):
    Run.create(where, [Source(uri, "mvtec") for uri in ("/a", "/b")], Config())
    with pytest.raises(ConfigError, match=f"another configuration: {told}. Take another --run folder"):
        Run.create(where, [Source(uri, "mvtec") for uri in now], Config())


def test_a_run_of_one_data_set_in_the_format_before_is_still_read(where, tmp_path):
    made = Run.create(where, [Source("/data", "folders")], Config())
    file = tmp_path / "run" / "config.yaml"
    card = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({"format": 2, "source": card["sources"][0], "settings": card["settings"]}))
    assert Run.open(where) == made
    assert Run.create(where, made.sources, Config()) == made


def test_a_run_of_before_there_was_a_choice_keeps_its_error(where, tmp_path):
    squared = Config(detection=DetectionConfig(error="squared"))
    made = Run.create(where, [Source("/data", "folders")], squared)
    file = tmp_path / "run" / "config.yaml"
    card = yaml.safe_load(file.read_text())
    del card["settings"]["detection"]["error"]
    file.write_text(yaml.safe_dump({**card, "format": 3}))
    assert Run.open(where).config == squared
    assert from_yaml(file.read_text()) == squared, "also where it is given to --config"
    with pytest.raises(ConfigError, match=r"detection\.error was 'squared' and is now 'geometric'"):
        Run.create(where, made.sources, Config())
    assert from_yaml("format: three\nsettings: {}") == Config()
    file.write_text(yaml.safe_dump({**card, "format": 3, "settings": {}}))
    assert Run.open(where).config == squared


def test_what_another_driver_writes_at_this_moment_is_nothing_foreign(tmp_path):
    for name in ("owner.json", "owner.json.0123abcd.tmp", "config.yaml.0123abcd.tmp", ".config.yaml.0123abcd.tmp"):
        (tmp_path / name).write_text("")
    assert Run.create(str(tmp_path), [Source("/data", "folders")], Config()).sources


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty and no run folder"):
        Run.create(str(tmp_path), [Source("/data", "folders")], Config())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="no run folder"):
        Run.create(str(tmp_path / "thesis.txt"), [Source("/data", "folders")], Config())
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path):
    Run.create(str(tmp_path), [Source("/data", "folders")], Config())
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_settings_that_an_oracle_chose_are_marked_for_whoever_takes_them_from_the_run(where, tmp_path):
    file = tmp_path / "run" / "config.yaml"
    made = Run.create(where, [Source("/data", "folders")], Config())
    for oracle, write, marked in ((False, True, False), (True, False, False), (True, True, True), (False, True, True)):
        assert Run.create(where, made.sources, Config(), oracle=oracle, write=write) == made
        assert is_oracle(file.read_text()) is marked
        assert from_yaml(file.read_text()) == Config()
    Run.create(str(tmp_path / "other"), made.sources, Config(), oracle=True)
    assert is_oracle((tmp_path / "other" / "config.yaml").read_text())
    assert Run.open(str(tmp_path / "other")).config == Config()


def test_a_missing_run_says_what_makes_one(where):
    with pytest.raises(RunError, match=r"no config\.yaml; raysuite train or benchmark"):
        Run.open(where)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "- a list",
        "settings: {training: {steps: 8",
        "format: 2\nsettings: {}",
        "format: 4\nsettings: {}\nsource: {uri: a, layout: b}",
        "format: 3\nsettings: {}\nsources: {uri: a, layout: b}",
        "format: 4\nsettings: {}\nsources: [a]",
        "format: 2\nsettings: words\nsource: {uri: a, layout: b}",
        "format: 2\nsettings: null\nsource: {uri: a, layout: b}",
        "format: 2\nsettings: {}\nsource: words",
        "format: 2\nsettings: {training: {stepz: 1}}\nsource: {uri: a, layout: b}",
        "format: 2\nsettings: {training: {steps: 2020-13-45}}\nsource: {uri: a, layout: b}",
        "settings: !!python/object/apply:os.system ['true']",
    ],
)
def test_a_damaged_config_names_the_file(tmp_path, damage):
    (tmp_path / "config.yaml").write_text(damage)
    for act in (Run.open, lambda where: Run.create(where, [Source("/data", "folders")], Config())):
        with pytest.raises(RunError, match=r"config\.yaml is damaged: (it has not the sources|[^\n]+; take)"):
            act(str(tmp_path))


def test_a_config_that_is_no_text_names_the_file(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"config\.yaml is damaged: (it has not the sources|[^\n]+; take)"):
        Run.open(str(tmp_path))


@pytest.mark.parametrize(("version", "told"), [(1, "no longer reads"), (5, "reads up to 4")])
def test_a_run_of_another_format_is_refused(where, tmp_path, version, told):
    Run.create(where, [Source("/data", "folders")], Config())
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace("format: 4", f"format: {version}"))
    with pytest.raises(RunError, match=f"format version {version}.*{told}"):
        Run.open(where)


def test_a_member_goes_from_pending_to_trained_to_evaluated(where):
    member = Run.create(where, [Source("/data", "folders")], Config()).member("screw", 3)
    assert member.status() == {"state": "pending"}
    assert not member.is_trained
    assert not member.is_evaluated
    before = time.time()
    member.set_status("failed", "too few images", kept=2)
    status = member.status()
    assert before <= status.pop("since") <= time.time()
    assert status == {"state": "failed", "reason": "too few images", "kept": 2}
    (member.detector / "weights.safetensors").write_bytes(b"")
    assert not member.is_trained, "weights alone are half a detector"
    (member.detector / "detector.json").write_text("{}")
    assert member.is_trained
    (member.folder / "metrics.json").write_text('{"image_auroc": null}')
    assert member.is_evaluated
    assert member.metrics() == {"image_auroc": None}


@pytest.mark.parametrize("half", ["", '{"state": "do', "[]", "\x00\x00"])
def test_a_file_that_a_power_cut_left_empty_or_half_is_as_good_as_not_written(where, half):
    run = Run.create(where, [Source("/data", "folders")], Config())
    member = run.member("screw", 3)
    for name in ("status.json", "progress.json", "metrics.json", "detector/detector.json"):
        (member.folder / name).write_text(half)
    assert (member.is_trained, member.is_evaluated) == (False, False)
    assert (member.status(), member.progress()) == ({"state": "pending"}, {})
    with pytest.raises(RunError, match=r"screw seed 3 has no metrics .*raysuite evaluate"):
        member.metrics()
    member.set_status("failed", "too few images")
    assert member.status()["reason"] == "too few images"


def test_the_last_word_of_a_training_stays(where):
    member = Run.create(where, [Source("/data", "folders")], Config()).member("screw", 3)
    assert member.progress() == {}
    for step in (1, 2):
        member.set_progress({"step": step, "loss": 0.5})
    assert member.progress() == {"step": 2, "loss": 0.5}
    assert member.names == {"category": "screw", "seed": 3, "objective": "filter"}


def test_members_are_found_in_order_and_nothing_else_is(where, tmp_path):
    run = Run.create(where, [Source("/data", "folders")], Config())
    assert run.members() == []
    for category, seed in (("b", 10), ("b", 2), ("a", 0), ("größe", 1)):
        run.member(category, seed).set_status("training")
    for name in ("shards/seed-0/x", ".cache/seed-0/x", "a/seed-x/y", "a/other/y", "a/seed-7"):
        (run.root / name).write_text("")
    assert [(m.category, m.seed) for m in run.members()] == [("a", 0), ("b", 2), ("b", 10), ("größe", 1)]


def test_the_own_objective_has_the_plain_name_and_others_carry_theirs(where):
    run = Run.create(where, [Source("/data", "folders")], Config())
    own, other = run.member("grid", 1), run.member("grid", 1, "plain")
    assert run.member("grid", 1, "filter") == own
    assert (own.key, other.key) == ("grid/seed-1", "grid/seed-1-plain")
    assert (own.title, other.title) == ("grid seed 1", "grid seed 1 plain")
    assert (own.objective, other.objective) == ("filter", "plain")


def test_members_of_all_objectives_are_found_and_the_own_one_comes_first(where):
    run = Run.create(where, [Source("/data", "folders")], for_objective(Config(), "denoise"))
    for seed, kind in ((1, "filter"), (1, "denoise"), (0, "plain"), (0, "denoise")):
        run.member("grid", seed, kind).set_status("training")
    for name in ("seed-3-nonsense", "seed-3-denoise", "seed-3-"):
        (run.root / "grid" / name / "status.json").write_text("{}")
    found = [(m.seed, m.objective) for m in run.members()]
    assert found == [(0, "denoise"), (1, "denoise"), (1, "filter"), (0, "plain")]


def test_a_member_is_trained_with_its_own_objective_and_all_else_of_the_run(where):
    run = Run.create(where, [Source("/data", "folders")], Config())
    assert run.config_of(run.member("grid", 0)) == run.config
    plain = run.config_of(run.member("grid", 0, "plain"))
    assert set(differences(run.config, plain)) == {"objective.kind", "model.skip", "model.bottleneck"}


def test_a_run_is_frozen(where):
    with pytest.raises(dataclasses.FrozenInstanceError):
        Run.create(where, [Source("/data", "folders")], Config()).config = Config()
