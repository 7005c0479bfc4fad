"""Tests what is read from a run directory."""

import json

import numpy as np
import pandas
import pytest

import mergan


def test_the_configuration_is_that_of_the_file(run, command):
    config = run.config
    assert (config["strategy"], config["preset"], config["tasks"]) == ("ra", "smoke", 2)
    assert config["training"]["batch"] > 1
    assert repr(run) == f"mergan.Run({str(run.path)!r})"


def test_scores_are_columns_with_their_cards(run):
    scores = run.scores()
    table = pandas.DataFrame(scores)
    means = table[(table["metric"] == "accuracy") & table["class"].isna()]
    assert list(means["task"]) == [1, 2]
    files = [json.loads((run.path / f"tasks/{task:02}/scores.json").read_text()) for task in (1, 2)]
    expected = [
        next(row["value"] for row in file["scores"] if row["metric"] == "accuracy" and row["class"] is None)
        for file in files
    ]
    assert list(means["value"]) == expected
    assert len(table) == sum(len(file["scores"]) for file in files)
    assert set(table["card.preset"]) == {"smoke"}
    named = table[(table["task"] == 2) & table["class_name"].notna() & (table["metric"] == "accuracy")]
    assert list(named["class_name"]) == ["disc", "ring"]


def test_events_are_columns_with_numbers_as_arrays(run):
    progress = run.events("progress")
    assert progress["iteration"].dtype == np.int64
    assert progress["losses.wasserstein"].dtype == np.float64
    assert np.isfinite(progress["losses.wasserstein"]).all()
    assert set(progress["event"]) == {"progress"}
    everything = run.events()
    assert np.isnan(everything["iteration"]).any(), "not every event has an iteration"
    assert len(pandas.DataFrame(everything)) == len((run.path / "events.jsonl").read_text().splitlines())
    assert everything["time"][0].endswith("Z")
    assert run.events("start")["command"] == [
        "mergan.train(dataset='shapes', strategy='ra', preset='smoke', tasks=2, seed=0)"
    ]


def test_the_events_of_the_callback_are_those_of_the_log(run, events):
    logged = mergan._mergan.read_events(run.path)
    for event in logged:
        del event["time"]
    others = ("begins", "ends", "warning")
    assert [event for event in events if event["event"] not in others] == logged
    works = [event["work"] for event in events if event["event"] == "begins"]
    assert any(work.startswith("training the classifier") for work in works)
    assert "training ra" in works


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a run directory that `mergan train` wrote"):
        mergan.Run(tmp_path)


def test_damaged_files_are_named(run, tmp_path):
    (tmp_path / "config.toml").write_text((run.path / "config.toml").read_text())
    (tmp_path / "events.jsonl").write_text('{"event":"start"\n')
    with pytest.raises(mergan.MerganError, match="events.jsonl line 1 is no event"):
        mergan.Run(tmp_path).events()
    (tmp_path / "config.toml").write_text("strategy = 3\n")
    with pytest.raises(ValueError, match="config.toml"):
        mergan.Run(tmp_path)
