"""Tests drawing images from a generator, which must be those of the command."""

import sys
import threading
import time

import numpy as np
import pytest

import mergan


def test_samples_have_the_bits_of_the_command(run, command, tmp_path):
    generator = mergan.Generator.load(run.path)
    assert generator.classes == ["disc", "ring"]
    assert (generator.class_numbers, generator.image_shape) == ([0, 1], (32, 32))
    for options, words in [({}, []), ({"batch_statistics": True}, ["--batch-statistics"])]:
        out = tmp_path / "ring.npy"
        command("sample", run.path, "--class", "ring", "--count", 5, "--seed", 7, *words, "--out", out)
        images = generator.sample("ring", 5, 7, **options)
        assert images.dtype == np.uint8
        assert images.shape == (5, 32, 32)
        assert np.array_equal(images, np.load(out)[:, 0])


def test_classes_have_names_and_numbers(run):
    generator = run.generator()
    assert np.array_equal(generator.sample("ring", 3), generator.sample(1, 3))
    assert not np.array_equal(generator.sample("ring", 3), generator.sample("disc", 3))
    assert not np.array_equal(generator.sample("ring", 3), generator.sample("ring", 3, seed=1))
    assert repr(generator) == "<mergan.Generator of disc, ring>"
    assert run.generator(task=1).classes == ["disc"]


def test_latents_are_the_users_own(run, command, tmp_path):
    generator = run.generator()
    latents = np.random.default_rng(0).standard_normal((3, generator.latent))
    np.save(tmp_path / "z.npy", latents)
    words = ["--latents", tmp_path / "z.npy", "--floats", "--out", tmp_path / "ring.npy"]
    command("sample", run.path, "--class", "ring", *words)
    images = generator.sample_at("ring", latents)
    assert images.dtype == np.float32
    assert np.array_equal(images, np.load(tmp_path / "ring.npy")[:, 0])
    with pytest.raises(ValueError, match="the generator takes"):
        generator.sample_at("ring", latents[:, 1:])
    with pytest.raises(ValueError, match="a matrix"):
        generator.sample_at("ring", latents[0])


def test_mistakes_are_exceptions_with_the_text_of_the_command(run, command, tmp_path):
    generator = run.generator()
    with pytest.raises(ValueError, match="has learned no class `cube`; choose one of: disc, ring") as refused:
        generator.sample("cube")
    said = command("sample", run.path, "--class", "cube", "--out", tmp_path / "a.npy", fails=True)
    assert str(refused.value) in said
    for count in [0, -1]:
        with pytest.raises(ValueError, match=f"n is {count}; it must be at least 1"):
            generator.sample("ring", count)
    with pytest.raises(FileNotFoundError, match="absent.safetensors"):
        mergan.Generator.load("absent.safetensors")
    with pytest.raises(FileNotFoundError):
        run.generator(task=9)
    with pytest.raises(mergan.MerganError, match="config.toml"):
        mergan.Generator.load(run.path / "config.toml")
    with pytest.raises(ValueError, match="device `gpu`: choose auto, cpu or a GPU"):
        mergan.Generator.load(run.path, device="gpu")
    with pytest.raises(ValueError, match="precision `f16`: choose f32 or tf32"):
        mergan.Generator.load(run.path, precision="f16")


def test_other_threads_run_meanwhile(run):
    generator = run.generator()
    seen, started, over = [], threading.Event(), threading.Event()

    def count():
        while not over.is_set():
            seen.append(None)
            started.set()
            time.sleep(0)

    interval = sys.getswitchinterval()
    # A thread then runs only while another one gives up the lock.
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=count, daemon=True)
    try:
        thread.start()
        started.wait()
        before = len(seen)
        generator.sample("ring", 64)
        during = len(seen)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert during > before
