"""Tests what the package installs: the command, type hints and licences."""

import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import mergan


def test_the_command_is_installed_and_says_its_version():
    script = Path(sys.executable).with_name("mergan")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mergan {mergan.__version__}\n"
    assert metadata.version("mergan") == mergan.__version__


def test_exit_codes_are_those_of_the_command():
    def code(*words):
        return subprocess.run([sys.executable, "-m", "mergan", *words], capture_output=True, check=False).returncode

    assert code("data", "list") == 0
    assert code("sample", "absent.safetensors", "--class", "1", "--out", "a.png") == 1
    assert code("train", "--config", "absent.toml") == 2
    assert code("sing") == 2


def test_the_log_names_the_words_of_the_command(command, tmp_path):
    words = "train --dataset shapes --strategy sft --preset smoke --tasks 1 --run"
    command(*words.split(), tmp_path / "a b")
    assert mergan.Run(tmp_path / "a b").events("start")["command"] == [f"mergan {words} '{tmp_path / 'a b'}'"]


def test_the_command_calls_itself(command, tmp_path):
    words = "reproduce shapes --preset smoke --tasks 1 --strategies sft --out"
    command(*words.split(), tmp_path / "runs")
    assert (tmp_path / "runs" / "report.html").is_file()


def test_type_hints_and_licences_are_included():
    package = resources.files("mergan")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_mergan.pyi").is_file()
    licences = metadata.metadata("mergan").get_all("License-File")
    assert sorted(licences) == ["LICENSE-APACHE", "LICENSE-MIT"]


def test_everything_public_is_documented():
    for name in mergan.__all__:
        if not name.startswith("_"):
            assert getattr(mergan, name).__doc__, name
