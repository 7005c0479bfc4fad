"""Makes what people bring anew, gives it to `mergan`, and prints a table of what happens.

    python inputs.py MERGAN FOLDER [--before OLDER_MERGAN]

MERGAN is the command, and FOLDER an empty folder to work in. Each input has a text that the command's output must hold
and an exit code; the script fails if an input gives another one, a panic, a crash, or no end within two minutes. With
--before the table also says what an older command does. It needs NumPy and Pillow.
"""

import argparse
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

PATIENCE = 120


def picture(size=(32, 32), mode="RGB", shade=0):
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([(x * 7 + shade) % 256, (y * 5 + shade) % 256, (x * y + shade) % 256], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(format, **options):
    file = io.BytesIO()
    picture(**options).save(file, format)
    return file.getvalue()


class Cases:
    """The inputs. A method that makes one returns the command's arguments; `expected` is a pattern and the exit code."""

    def __init__(self, folder):
        self.folder, self.all = folder, []

    def add(self, kind, expected, code, make):
        self.all.append((kind, expected, code, make))

    def pets(self, at, classes=("cat", "dog"), count=20):
        folder = at / "pets"
        for shade, name in enumerate(classes):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture(shade=shade * 90 + number).save(folder / name / f"{number:02}.png")
        return folder


def info(folder, *options):
    return ["data", "info", str(folder), *options]


def train(dataset, at, *options):
    base = ["train", "--dataset", str(dataset), "--strategy", "sft", "--preset", "smoke", "--tasks", "1"]
    return [*base, "--run", str(at / "run"), *options]


def picture_cases(cases):
    def beside(kind, name, content, expected, code, *options, command=info):
        def make(at):
            folder = cases.pets(at)
            path = folder / "cat" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content(path) if callable(content) else path.write_bytes(content)
            return command(folder, *options) if command is info else command(folder, at, *options)

        cases.add(kind, expected, code, make)

    estimate = "--estimate"
    for format, ending in [("BMP", "bmp"), ("GIF", "gif"), ("TIFF", "tif"), ("PPM", "ppm"), ("WEBP", "webp"), ("JPEG", "jpg")]:
        beside(f"a picture of kind {format}", f"x.{ending}", encoded(format), "36 train, 0 validation, 5 test", 0)
    beside("an ending in upper case", "X.JPEG", encoded("JPEG"), "36 train, 0 validation, 5 test", 0)
    beside("a PNG named .jpg", "x.jpg", encoded("PNG"), "train", 0)
    beside("a picture inside a subfolder of a class", "deeper/x.png", encoded("PNG"), "36 train, 0 validation, 5 test", 0)
    beside("a HEIC file", "x.heic", b"....ftypheic", r"1 file is no picture that this reads: \.heic", 0)
    beside("files with no ending and with others", "README", b"text", "no picture that this reads: no ending", 0)
    for name in [".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._x.png"]:
        beside(f"{name} in a class", name, b"\0\0", "^(?!.*no picture).*36 train, 0 validation, 4 test", 0)
    for format, ending in [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tif"), ("PPM", "ppm")]:
        whole = encoded(format, size=(64, 64))
        cut = whole[: len(whole) * 2 // 3]
        beside(f"a {format} that ends early", f"zz.{ending}", cut, f"zz.{ending} cannot be read", 1, estimate, command=train)
    beside("an empty picture", "zz.png", b"", "the file is empty", 1, estimate, command=train)
    beside("text named .png", "zz.png", b"hello", "zz.png cannot be read", 1, estimate, command=train)
    beside("the same, left out on request", "zz.png", b"hello", "1 pictures that cannot be read", 0, estimate, "--skip-bad", command=train)
    beside("a link to nowhere", "zz.png", lambda path: path.symlink_to("nowhere"), "a link to nowhere", 1, estimate, command=train)
    beside("the same, left out on request", "zz.png", lambda path: path.symlink_to("nowhere"), "were left out", 0, estimate, "--skip-bad", command=train)
    beside("a folder named .png", "zz.png", lambda path: path.mkdir(), "36 train, 0 validation, 4 test", 0)
    bomb = bytearray(encoded("BMP"))
    bomb[18:26] = struct.pack("<ii", 60000, 60000)
    beside("a bitmap that promises 60,000 x 60,000 pixels", "zz.bmp", bytes(bomb), "take|damaged|larger", 1, estimate, command=train)
    grey = io.BytesIO()
    Image.new("L", (16000, 16000)).save(grey, "PNG")
    beside("a PNG of 16,000 x 16,000 grey pixels in 30 kB", "zz.png", grey.getvalue(), "take 1280000000 bytes", 1, estimate, command=train)
    beside("a picture of one pixel", "x.png", encoded("PNG", size=(1, 1)), "seconds an iteration", 0, estimate, command=train)
    beside("a picture of 3000 x 20 pixels", "x.png", encoded("PNG", size=(3000, 20)), "seconds an iteration", 0, estimate, command=train)
    for mode in ["RGBA", "P", "L", "1", "I;16", "LA"]:
        def content(path, mode=mode):
            (Image.new("I;16", (32, 32), 500) if mode == "I;16" else picture(mode=mode)).save(path)

        beside(f"a PNG of mode {mode}", "x.png", content, "seconds an iteration", 0, estimate, command=train)
    beside("a CMYK JPEG", "x.jpg", encoded("JPEG", mode="CMYK"), "seconds an iteration", 0, estimate, command=train)


def folder_cases(cases):
    def case(kind, expected, code, *options, command=info):
        def decorate(arrange):
            def make(at):
                folder = cases.pets(at)
                folder = arrange(folder, at) or folder
                return command(folder, *options) if command is info else command(folder, at, *options)

            cases.add(kind, expected, code, make)

        return decorate

    @case("folders train and test with classes inside", "40 train, 0 validation, 40 test", 0)
    def _(folder, at):
        for part in ["train", "test"]:
            shutil.copytree(folder, at / "split" / part)
        return at / "split"

    @case("folders train and val with classes inside", "40 train, 0 validation, 40 test", 0)
    def _(folder, at):
        for part in ["train", "val"]:
            shutil.copytree(folder, at / "split" / part)
        return at / "split"

    @case("a class only among the test images", "cow is a class that the folder to train on lacks", 1)
    def _(folder, at):
        for part in ["train", "test"]:
            shutil.copytree(folder, at / "split" / part)
        (at / "split/test/dog").rename(at / "split/test/cow")
        return at / "split"

    @case("a class without pictures", "has no image", 1)
    def _(folder, at):
        (folder / "cow").mkdir()

    @case("no folders of classes", "no subfolders|one subfolder", 1)
    def _(folder, at):
        return folder / "cat"

    @case("pictures beside the folders of classes", "1 picture lies in no class's folder: lost.png", 0)
    def _(folder, at):
        picture().save(folder / "lost.png")

    @case("a link that leads out of the folder", "leads out of .*--follow-links", 1)
    def _(folder, at):
        shutil.move(folder / "cat/00.png", at / "kept.png")
        (folder / "cat/00.png").symlink_to(at / "kept.png")

    @case("the same, followed on request", "36 train, 0 validation, 4 test", 0, "--follow-links")
    def _(folder, at):
        shutil.move(folder / "cat/00.png", at / "kept.png")
        (folder / "cat/00.png").symlink_to(at / "kept.png")

    @case("a link of a class to its own folder", "leads to a folder whose pictures are taken already|leads out of", 1)
    def _(folder, at):
        (folder / "cat/again").symlink_to(folder / "cat")

    @case("a class name with an escape sequence", r"cat\\u\{1b\}\]0;x", 0)
    def _(folder, at):
        (folder / "cat").rename(folder / "cat\x1b]0;x\x07")

    @case("two names that differ only in bytes that are no UTF-8", "no UTF-8", 1)
    def _(folder, at):
        for byte in [b"\xff", b"\xfe"]:
            shutil.copy(folder / "cat/00.png", os.fsencode(folder / "cat") + b"/x" + byte + b".png")

    @case("fewer pictures in a class than a batch takes", "ant: 2 images to learn from, and a batch takes 12.*--set training.batch=2", 1, command=train)
    def _(folder, at):
        (folder / "ant").mkdir()
        for number in range(3):
            picture().save(folder / f"ant/{number}.png")

    @case("a single class", "", 0, "--estimate", command=train)
    def _(folder, at):
        shutil.rmtree(folder / "dog")

    @case("a folder that does not exist", "there is no file or folder", 1)
    def _(folder, at):
        return at / "nowhere/pets"

    @case("a name with a spelling error", "mnist", 1)
    def _(folder, at):
        return "minst"

    @case("a side that no network has", "32 or 64", 1, "--side", "28")
    def _(folder, at):
        pass


def array_cases(cases):
    def case(kind, expected, code, arrays, *options, save=np.savez, name="set.npz"):
        def make(at):
            at.mkdir(parents=True, exist_ok=True)
            save(at / name, **arrays())
            return info(at / name, *options)

        cases.add(kind, expected, code, make)

    labels = lambda: np.arange(40) % 2
    images = lambda *shape: np.tile(np.arange(40, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (1, *shape))
    case("npz of images and labels", "36 train, 0 validation, 4 test", 0, lambda: dict(images=images(32, 32), labels=labels()))
    case("npz, compressed", "3 x 32 x 32; 36 train", 0, lambda: dict(x=images(32, 32, 3), y=labels()), save=np.savez_compressed)
    case("npz of Keras", "40 train, 0 validation, 40 test", 0, lambda: dict(x_train=images(28, 28), y_train=labels(), x_test=images(28, 28), y_test=labels()))
    case("npz of other sizes", "become 32 x 32", 0, lambda: dict(images=images(64, 64), labels=labels()))
    case("npz of floats", "array images", 1, lambda: dict(images=images(32, 32) / 255.0, labels=labels()))
    case("npz without labels", "no array of images with one of labels", 1, lambda: dict(images=images(32, 32)))
    case("npz with too few labels", "40 images but 39 labels", 1, lambda: dict(images=images(32, 32), labels=labels()[:39]))
    case("npz with labels in one-hot form", "labels are N whole numbers", 1, lambda: dict(images=images(32, 32), labels=np.eye(2)[labels()]))
    case("npz with negative labels", "label -1", 1, lambda: dict(images=images(32, 32), labels=labels() - 1))
    case("npz with pickled objects", "array labels", 1, lambda: dict(images=images(32, 32), labels=np.array([{}] * 40)))
    case("npz of zeros that unpacks to 200 MB", "unpack to more than", 1, lambda: dict(images=np.zeros((200_000, 32, 32), np.uint8), labels=np.zeros(200_000, int)), save=np.savez_compressed)

    def npy(at):
        at.mkdir(parents=True, exist_ok=True)
        np.save(at / "images.npy", images(32, 32))
        np.save(at / "labels.npy", labels())
        return info(at / "images.npy")

    cases.add("npy files beside one another", "36 train", 0, npy)

    def raw(kind, name, content, expected, *arguments):
        def make(at):
            at.mkdir(parents=True, exist_ok=True)
            (at / name).write_bytes(content)
            return [*arguments, str(at / name)] if arguments else info(at / name)

        cases.add(kind, expected, 1, make)

    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9223372036854775807), }\n"
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header

    def features(at):
        at.mkdir(parents=True, exist_ok=True)
        (at / "huge.npy").write_bytes(huge)
        return ["fid", "--features", str(at / "huge.npy"), str(at / "huge.npy")]

    cases.add("npy whose shape is (0, 2^63 - 1)", "promises more bytes than memory can hold", 1, features)
    raw("a table of numbers", "set.csv", b"1,2\n", "is no dataset: give a folder")
    raw("a zip of pictures", "pets.zip", zipped(), "is no dataset|unpack")
    raw("an npz that is text", "set.npz", b"hello", "no .npz archive")
    raw("an HDF5 file of text", "set.h5", b"hello", "is no dataset")


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/0.png", encoded("PNG"))
    return file.getvalue()


def command_cases(cases):
    def case(kind, expected, code, *arguments):
        cases.add(kind, expected, code, lambda at: [str(a).replace("AT", str(at)) for a in arguments])

    drawn = ["train", "--dataset", "shapes", "--strategy", "ra", "--preset", "smoke", "--run", "AT/run"]
    for options, option in [(["--side", "64"], "--side"), (["--grey"], "--grey"), (["--fit", "resize"], "--fit"), (["--limit", "3"], "--limit"), (["--skip-bad"], "--skip-bad")]:
        case(f"{' '.join(options)} on drawn images", rf"\({option}\) has no effect on shapes", 1, *drawn, *options)
    for setting, expected in [
        ("model.width=1000000000", "model.width"),
        ("model.latent=1000000000000", "model.latent"),
        ("training.critic_steps=9000000000", "training.critic_steps"),
        ("training.batch=100000", "training.batch"),
        ("evaluation.samples=10000000000000", "memory|evaluation.samples"),
        ("training.rate=-1", "training.rate"),
        ("training.bach=3", "training.bach|batch"),
        ("training.rate=fast", "training.rate"),
    ]:
        case(f"--set {setting}", expected, 1, *drawn, "--set", setting)
    case("--threads 100000", "1..=1024|1024", 2, *drawn, "--threads", "100000")
    case("--tasks 99", "tasks", 1, *drawn, "--tasks", "99")
    case("a run directory below a file", "run", 1, *drawn[:-1], "/dev/null/run")
    case("fid of two paths that are not there", "nowhere", 1, "fid", "AT/nowhere", "AT/nothing")
    case("sample of a run that is not there", "AT_", 1, "sample", "AT/nowhere", "--class", "0", "--out", "AT/x.png")


def run(mergan, arguments, folder):
    environment = dict(os.environ, MERGAN_DATA=str(folder / "cache"), NO_COLOR="1")
    try:
        done = subprocess.run([mergan, *arguments], capture_output=True, timeout=PATIENCE, env=environment, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None, f"no end within {PATIENCE} s"
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def summary(code, output, folder):
    """Says in one line what the command did."""
    if code is None:
        return output
    lines = [line for line in output.replace(str(folder), "").splitlines() if line.strip()]
    if code < 0 or code == 101:
        return f"**crash (exit code {code})**"
    patterns = ["^error", "^warning", "no picture|become|lies in no", "^images  ", "."]
    line = next((line for pattern in patterns for line in lines if re.search(pattern, line)), "")
    line = re.sub(r"\s+", " ", line).replace("|", "\\|")
    return f"{'error' if code else 'fine'}: {line.removeprefix('error: ')[:150]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mergan")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before")
    arguments = parser.parse_args()
    cases = Cases(arguments.folder)
    for part in [picture_cases, folder_cases, array_cases, command_cases]:
        part(cases)
    columns = ["kind", "command", *(["before"] if arguments.before else []), "now"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    wrong = []
    for number, (kind, expected, code, make) in enumerate(cases.all):
        at = arguments.folder / f"{number:02}"
        at.mkdir()
        command = make(at)
        found, output = run(arguments.mergan, command, arguments.folder)
        expected = expected.replace("AT_", str(at))
        if found != code or not re.search(expected, output.replace("\n", " ")) or "panicked" in output:
            wrong.append(f"{number:02} {kind}: exit code {found}, expected {code} and {expected!r}:\n{output}")
        left = [path.name for path in at.iterdir()] if code else []
        if "run" in left:
            wrong.append(f"{number:02} {kind}: a run directory is left behind")
        shown = " ".join(word for word in command[:2] if not word.startswith("-") and "/" not in word)
        cells = [kind.replace("|", "\\|"), f"`{shown}`", summary(found, output, at)]
        if arguments.before:
            shutil.rmtree(at / "run", ignore_errors=True)
            cells.insert(2, summary(*run(arguments.before, command, arguments.folder), at))
        print(f"| {' | '.join(cells)} |", flush=True)
        shutil.rmtree(at)
    print(f"\n{len(cases.all)} inputs, {len(wrong)} not as expected")
    sys.exit("\n".join(wrong) if wrong else 0)


main()
