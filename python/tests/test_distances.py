"""Tests distances, which must be those of the command. The network's weights are random, because the real ones are too
large for a repository."""

import json

import numpy as np
import pytest

import mergan

METRICS = "fid,kid,prdc"


@pytest.fixture(scope="module")
def images():
    """Two sets of grey images, N x height x width."""
    random = np.random.default_rng(0)
    return [random.integers(low, low + 100, (6, 24, 20), dtype=np.uint8) for low in (0, 60)]


@pytest.fixture(scope="module")
def said(images, noise, command, tmp_path_factory):
    """The command's rows for these images, and their files."""
    folder = tmp_path_factory.mktemp("images")
    files = [folder / "real.npy", folder / "generated.npy"]
    for file, array in zip(files, images):
        np.save(file, array)
    words = ["--metrics", METRICS, "--network", "noise", "--weights", noise, "--resize", "clean", "--json"]
    return files, json.loads(command("fid", *files, *words))


def test_numbers_are_those_of_the_command_for_arrays_and_files(images, noise, said):
    files, rows = said
    expected = {row["metric"]: row["value"] for row in rows}
    options = {"network": "noise", "weights": noise, "resize": "clean"}
    with pytest.warns(UserWarning, match="fd_noise: .*"):
        found = mergan.distances(*images, **options)
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, rel=1e-12)
        assert mergan.distances(*map(str, files), **options) == found
        assert mergan.fid(*images, **options) == found["fd_noise"]
    assert mergan.kid(*images, **options) == found["kid_noise"]
    assert mergan.prdc(*images, **options) == {
        name: value
        for name, value in found.items()
        if name.split("_")[0] in {"precision", "recall", "density", "coverage"}
    }


def test_every_layout_holds_the_same_images(images, noise):
    options = {"network": "noise", "weights": noise}
    kid = mergan.kid(*images, **options)
    for axes in [lambda grey: grey[:, None], lambda grey: grey[..., None], lambda grey: np.stack([grey] * 3, axis=-1)]:
        assert mergan.kid(*map(axes, images), **options) == kid
    assert mergan.kid(*(array[:, ::-1][:, ::-1] for array in images), **options) == kid
    assert mergan.kid(*images, **options, resize="torch") != kid


def test_features_and_their_options(command, tmp_path):
    random = np.random.default_rng(1)
    sets = [random.standard_normal((40, 3)), random.standard_normal((30, 3)) + 1]
    for name, features in zip("ab", sets):
        np.save(tmp_path / f"{name}.npy", features)
    words = [tmp_path / "a.npy", tmp_path / "b.npy", "--features", "--metrics", METRICS, "--json"]
    words += ["--subsets", 7, "--subset-size", 11, "--seed", 3]
    expected = {row["metric"]: row["value"] for row in json.loads(command("fid", *words))}
    options = {"features": True, "subsets": 7, "subset_size": 11, "seed": 3}
    assert mergan.distances(*sets, **options) == pytest.approx(expected, rel=1e-12)
    assert mergan.distances(*words[:2], **options) == pytest.approx(expected, rel=1e-12)
    assert mergan.fid(sets[0].astype(np.float32), sets[0].tolist(), features=True) == pytest.approx(0, abs=1e-4)


def test_runs_and_statistics_are_compared_too(run, images, noise, command, tmp_path):
    options = {"network": "noise", "weights": noise}
    words = ["--network", "noise", "--weights", noise, "--samples", 4]
    out = tmp_path / "real.npz"
    mergan.save_statistics(images[0], out, **options)
    expected = json.loads(command("fid", out, run.path, *words, "--json"))[0]["value"]
    with pytest.warns(UserWarning):
        assert mergan.fid(out, run.path, samples=4, **options) == pytest.approx(expected, rel=1e-12)
        assert mergan.fid(images[0], run.path, samples=4, **options) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="statistics has a Frechet distance only"):
        mergan.kid(out, run.path, samples=4, **options)


def test_mistakes_are_exceptions(images, noise, command, tmp_path):
    options = {"network": "noise", "weights": noise}
    real, generated = images
    for given, text in [
        (real.astype(np.float32), "images are arrays of uint8, from 0 to 255; this one is float32"),
        (real[0], r"the array has the axes \[24, 20\]"),
        (np.zeros((4, 5, 6, 7), np.uint8), "with 1 or 3 channels"),
        (real[:1], "1"),
        (tmp_path, "holds no pictures"),
    ]:
        with pytest.raises(ValueError, match=text):
            mergan.fid(given, generated, **options)
    for changes, text in [
        ({"resize": "nearest"}, "resize `nearest`: choose one of: tf1, torch, clean"),
        ({"network": "a/b"}, "letters, digits, dots and hyphens"),
        ({"samples": 0}, "samples is 0; it must be at least 1"),
        ({"features": True}, "the axes"),
    ]:
        with pytest.raises(ValueError, match=text):
            mergan.fid(real, generated, **{**options, **changes})
    with pytest.raises(ValueError, match="metrics `fad`: choose one of: fid, kid, prdc"):
        mergan.distances(real, generated, ["fad"], **options)
    with pytest.raises(FileNotFoundError, match="mergan data fetch inception"):
        mergan.fid(real, generated)
    for absent in ["absent.npy", "absent", "absent.npz"]:
        with pytest.raises(FileNotFoundError, match=absent) as refused:
            mergan.fid(absent, generated, **options)
        np.save(tmp_path / "b.npy", generated)
        said = command("fid", absent, tmp_path / "b.npy", "--network", "noise", "--weights", noise, fails=True)
        assert str(refused.value) in said
    with pytest.raises(ValueError, match="metrics: choose at least one"):
        mergan.distances(real, generated, [], **options)
