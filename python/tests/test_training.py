"""Tests training on arrays, folders and names, its interruption, and its exceptions."""

import os
import signal
import threading

import numpy as np
import pytest
from conftest import generators

import mergan

SMOKE = {"strategy": "ra", "preset": "smoke"}


class Enough(Exception):
    """What a callback raises."""


def test_a_run_is_that_of_the_command(run, command, tmp_path):
    words = ["--dataset", "shapes", "--strategy", "ra", "--preset", "smoke", "--tasks", 2]
    command("train", *words, "--run", tmp_path / "ra")
    assert generators(tmp_path / "ra") == generators(run.path)


def test_arrays_are_learned_and_a_stopped_run_goes_on_to_the_same_bits(squares, tmp_path):
    names = ["small", "large"]
    whole = mergan.train(squares, run=tmp_path / "whole", class_names=names, **SMOKE)
    assert whole.generator().classes == names
    assert whole.config["dataset"] == "arrays"
    assert whole.generator().sample("large", 2).shape == (2, 32, 32)

    def stop(event):
        if event["event"] == "progress" and event["task"] == 2:
            raise Enough

    with pytest.raises(Enough):
        mergan.train(squares, run=tmp_path / "stopped", class_names=names, callback=stop, **SMOKE)
    assert len(generators(tmp_path / "stopped")) == 1
    with pytest.raises(ValueError, match=r"give them again: dataset=\(images, labels\)"):
        mergan.resume(tmp_path / "stopped")
    with pytest.raises(mergan.MerganError, match="not those that this run began to learn from"):
        mergan.resume(tmp_path / "stopped", (255 - squares[0], squares[1]), class_names=names)
    resumed = mergan.resume(tmp_path / "stopped", squares, class_names=names)
    assert generators(resumed.path) == generators(whole.path)


def test_ctrl_c_leaves_a_checkpoint(run, tmp_path):
    path = tmp_path / "ra"

    # The signal arrives while the machine computes, not while Python runs.
    ctrl_c = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))

    def stop(event):
        if event["event"] == "progress" and ctrl_c.ident is None:
            ctrl_c.start()

    with pytest.raises(KeyboardInterrupt, match="nothing is lost; go on with mergan.resume"):
        mergan.train("shapes", run=path, tasks=2, settings={"training.first_iterations": 5000}, callback=stop, **SMOKE)
    assert list((path / "checkpoint").iterdir())
    assert len(generators(path)) == 0
    events = mergan.Run(path).events("checkpoint")
    assert events["iterations"][-1] > 0, "the last iteration is saved"


def test_ctrl_c_ends_the_scoring_of_a_task(run, tmp_path):
    def stop(event):
        if event["event"] == "task_end":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="nothing is lost"):
        mergan.train("shapes", run=tmp_path / "ra", tasks=2, callback=stop, **SMOKE)
    assert len(generators(tmp_path / "ra")) <= 1
    assert not (tmp_path / "ra" / "tasks" / "02").exists()
    assert generators(mergan.resume(tmp_path / "ra").path) == generators(run.path)


def test_ctrl_c_ends_other_work_too(squares, tmp_path):
    def stop(event):
        if event["event"] == "begins":
            assert event["work"].startswith("training the classifier")
            signal.raise_signal(signal.SIGINT)

    path = tmp_path / "ra"
    with pytest.raises(KeyboardInterrupt) as interrupted:
        mergan.train(squares, run=path, callback=stop, cache=tmp_path / "cache", **SMOKE)
    assert str(interrupted.value) == ""
    assert not path.exists()
    assert mergan.train(squares, run=path, **SMOKE).generator().classes == ["0", "1"]


def test_settings_reach_the_configuration(squares, tmp_path):
    settings = {"training.batch": np.int64(16), "training": {"iterations": 3}, "training.first_iterations": 4}
    images = np.stack([squares[0]] * 3, axis=-1)
    test = (images[:10], squares[1][:10, None])
    run = mergan.train(
        (images, squares[1]), "sft", run=tmp_path / "sft", preset="smoke", settings=settings, test=test, name="squares"
    )
    training = run.config["training"]
    assert (training["batch"], training["iterations"], training["first_iterations"]) == (16, 3, 4)
    assert run.config["dataset"] == "squares"
    assert run.generator().sample(0, 2).shape == (2, 32, 32, 3)


def test_folders_are_learned(squares, tmp_path):
    png = pytest.importorskip("matplotlib.image")
    for number in range(40):
        path = tmp_path / "squares" / "small" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        png.imsave(path, squares[0][2 * number], vmin=0, vmax=255)
    settings = {"training.batch": 16, "images.channels": 1}
    run = mergan.train(tmp_path / "squares", "sft", run=tmp_path / "sft", preset="smoke", settings=settings)
    assert run.generator().classes == ["small"]
    assert run.generator().image_shape == (32, 32)


def test_mistakes_are_exceptions_with_the_text_of_the_command(run, squares, command, tmp_path):
    images, labels = squares
    path = tmp_path / "ra"

    def refused(kind, text, dataset="shapes", **changes):
        with pytest.raises(kind, match=text) as error:
            mergan.train(dataset, **{"run": path, "strategy": "ra", "preset": "smoke", **changes})
        assert not path.exists()
        return str(error.value)

    words = ["train", "--dataset", "shapes", "--preset", "smoke", "--run"]
    refused(ValueError, "there is no strategy `rra`; choose one of: .* did you mean `ra`", strategy="rra")
    text = refused(ValueError, "training.rate: it must be a positive number", settings={"training.rate": -1})
    assert text in command(*words, path, "--strategy", "ra", "--set", "training.rate=-1", fails=True)
    text = refused(mergan.MerganError, "exists already; go on with it", run=run.path)
    assert text in command(*words, run.path, "--strategy", "ra", fails=True)
    refused(ValueError, "there is no preset `fast`", preset="fast")
    refused(ValueError, "unknown dataset `mnits`.*did you mean `mnist`", "mnits")
    refused(FileNotFoundError, "there is no file or folder", str(tmp_path / "absent"))
    refused(ValueError, "unknown field `speed`", settings={"training.speed": 1})
    refused(ValueError, "unknown field `size`", settings={"images.size": 1})
    refused(ValueError, "a value, not a table", settings={"training": 1, "training.rate": 1})
    refused(ValueError, "at least 1", tasks=0)
    refused(ValueError, "at most 9223372036854775807", seed=2**63)
    refused(ValueError, "checkpoint_every is 0; it must be at least 1", checkpoint_every=0)
    refused(ValueError, "class_names and test are for arrays", class_names=["a"])
    refused(ValueError, r"a pair \(images, labels\)", 3)
    refused(ValueError, "images are arrays of uint8", (images / 255, labels))
    refused(ValueError, "labels are N whole numbers", (images, labels / 2))
    refused(ValueError, "image 1 has label -1", (images, np.where(labels == 1, -1, labels)))
    refused(ValueError, "160 images but 159 labels", (images, labels[1:]))
    refused(ValueError, "images of 28 x 28 pixels; there are networks for 32 x 32", (images[:, 2:30, 2:30], labels))
    refused(ValueError, "class 1 has no image", (images, labels * 2))
    refused(ValueError, "image 1 to train on has label 1; there are 1 classes", (images, labels), class_names=["a"])
    refused(ValueError, "images to test on of", (images, labels), test=(images[:, :16], labels))
    refused(ValueError, "cannot be called `../a`", (images, labels), name="../a")
    refused(ValueError, "0: 7 images to learn from, and a batch takes", (images[:16], labels[:16]))
    with pytest.raises(FileNotFoundError, match="give a run directory"):
        mergan.resume(tmp_path / "absent")
