"""Writes small datasets with other software, and records what that software reads back from them.

`python make.py` writes beside itself: SVHN's MAT files by SciPy (one compressed, one not), LSUN's LMDB folders by
python-lmdb with lossy WebP by Pillow (zipped, and one that is not), pictures of several kinds by Pillow, and a prepared
dataset by h5py. `expected.json` holds SHA-256 sums of every picture as Pillow decodes it. The arrays in the MAT and HDF5
files follow the formula `pixel`, which the tests repeat.
"""

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import h5py
import lmdb
import numpy as np
import scipy.io
from PIL import Image

HERE = Path(__file__).parent
SCENES = ["bedroom", "kitchen", "church_outdoor", "tower"]


def pixel(n, channel, y, x):
    """Returns the byte of image n at (y, x), the same in every file of arrays."""
    return (40 * n + 3 * y + 5 * x + 60 * channel) % 256


def arrays(count, channels, side):
    """Returns images N, H, W, C by the formula."""
    n, y, x, channel = np.ogrid[:count, :side, :side, :channels]
    return pixel(n, channel, y, x).astype(np.uint8)


def svhn():
    folder = HERE / "svhn"
    folder.mkdir(exist_ok=True)
    for name, count, compressed in [("train", 160, True), ("test", 3, False)]:
        content = {
            "X": arrays(count, 3, 32).transpose(1, 2, 3, 0),
            "y": (np.arange(count) % 10 + 1).astype(np.uint8).reshape(-1, 1),
        }
        scipy.io.savemat(folder / f"{name}_32x32.mat", content, do_compression=compressed)


def scene(seed, width, height):
    """Returns a picture with edges, gradients and some noise, so that lossy compression has something to lose."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / a + seed) + np.cos(y / b) for a, b in [(7, 11), (13, 5), (9, 17)]], axis=-1)
    picture = 128 + 50 * waves + random.normal(0, 6, waves.shape)
    picture[height // 3 : height // 2, width // 4 : width // 2] = random.integers(0, 256, 3)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encode(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def resize(picture, side):
    """Resizes rows first, then columns, as Pillow always did; newer versions begin with the columns if that is faster."""
    bilinear = Image.Resampling.BILINEAR
    return picture.resize((side, picture.height), bilinear).resize((side, side), bilinear)


def expectation(encoded):
    """Decodes a picture with Pillow: as it is, all of it at 64 x 64, its middle at 32 x 32, and the middle in grey."""
    picture = Image.open(io.BytesIO(encoded)).convert("RGB")
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    middle = (left, top, left + side, top + side)
    variants = {
        "decoded": picture,
        "resized": resize(picture, 64),
        "cropped": resize(picture.crop(middle), 32),
        "grey": resize(picture.convert("L").crop(middle), 32),
    }
    return {name: hashlib.sha256(variant.tobytes()).hexdigest() for name, variant in variants.items()}


def pictures():
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    picture = scene(0, 53, 41)
    kinds = {
        "colour.png": (picture, {}),
        "grey.png": (picture.convert("L"), {}),
        "alpha.png": (scene(2, 33, 37).convert("RGBA"), {}),
        "palette.png": (picture.quantize(64), {}),
        "lossy.webp": (picture, {"quality": 75}),
        "lossless.webp": (picture, {"lossless": True}),
        "tall.png": (scene(1, 20, 90), {}),
    }
    expected = {}
    for name, (kind, options) in kinds.items():
        encoded = encode(kind, format=name.rpartition(".")[2], **options)
        (folder / name).write_bytes(encoded)
        expected[name] = expectation(encoded)
    return expected


def lsun():
    """Writes one environment per scene: eight small pictures, one of them too large for the page of its key."""
    folder = HERE / "lsun"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    expected = {}
    for label, name in enumerate(SCENES):
        for split, count in [("train", 8), ("val", 2)]:
            environment = f"{name}_{split}_lmdb"
            values = {}
            for i in range(count):
                seed = 100 * label + i + (50 if split == "val" else 0)
                size, quality = ((120, 90), 90) if i == 3 else ((64 + 3 * i, 60 + i), 40)
                key = hashlib.sha1(f"{environment} {i}".encode()).hexdigest().encode()
                values[key] = encode(scene(seed, *size), format="WEBP", quality=quality)
            expected[environment] = [expectation(values[key])["resized"] for key in sorted(values)]
            with tempfile.TemporaryDirectory() as scratch:
                with lmdb.open(scratch, map_size=1 << 20) as environment_, environment_.begin(write=True) as transaction:
                    for key, value in values.items():
                        transaction.put(key, value)
                data = Path(scratch, "data.mdb").read_bytes()
            if (name, split) == ("bedroom", "val"):
                (folder / environment).mkdir()
                (folder / environment / "data.mdb").write_bytes(data)
            else:
                write_zip(folder / f"{environment}.zip", f"{environment}/data.mdb", data)
    return expected


def write_zip(path, name, data):
    """Writes a zip whose bytes do not depend on the time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def prepared():
    """Writes six training images and two test images of two classes, as any user of h5py would."""
    with h5py.File(HERE / "prepared.h5", "w") as file:
        file.create_dataset("class_names", data=["even", "odd"])
        for split, count in [("train", 6), ("test", 2)]:
            group = file.create_group(split)
            group.create_dataset("images", data=arrays(count, 3, 32), chunks=(2, 32, 32, 3), compression="gzip")
            group.create_dataset("labels", data=np.arange(count) % 2)


def main():
    svhn()
    expected = {"pictures": pictures(), "lsun": lsun()}
    prepared()
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()), "bytes")


if __name__ == "__main__":
    main()
