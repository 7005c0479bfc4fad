"""Runs that the tests share. All are smoke runs on drawn shapes, which take seconds and need no network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mergan


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """The cache of all tests: the classifier that scores is trained once, as on a user's machine."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["MERGAN_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def events():
    """The events of the run that the tests share."""
    return []


@pytest.fixture(scope="session")
def run(tmp_path_factory, events):
    """A finished run of two tasks."""
    path = tmp_path_factory.mktemp("runs") / "ra"
    return mergan.train("shapes", "ra", run=path, preset="smoke", tasks=2, callback=events.append)


@pytest.fixture(scope="session")
def noise(tmp_path_factory):
    """A network with random weights in place of Inception."""
    path = tmp_path_factory.mktemp("noise") / "noise.safetensors"
    mergan._mergan.noise_network(path, 1)
    return path


@pytest.fixture(scope="session")
def squares():
    """Images of squares of two sizes, with their labels."""
    images = np.zeros((160, 32, 32), np.uint8)
    labels = np.arange(160) % 2
    for number, image in enumerate(images):
        side = 8 + 8 * labels[number]
        image[4 : 4 + side, 4 + number % 7 : 4 + number % 7 + side] = 100 + number % 150
    return images, labels


@pytest.fixture(scope="session")
def command():
    """Calls the command, which must succeed or fail as expected, and returns what it prints."""

    def call(*words, fails=False):
        words = [sys.executable, "-m", "mergan", *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    return call


def generators(run):
    """Returns the generators of a run as bytes."""
    return [path.read_bytes() for path in sorted(Path(run).glob("tasks/*/generator.safetensors"))]
