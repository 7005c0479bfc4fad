"""Golden values for distances between images: Inception's features, resizing, FID, KID, precision, recall, density, coverage.

`python fid.py` writes fid.safetensors beside itself; README.md lists its tensors. As in make.py no input is stored: weights,
images and features are formulas that the Rust tests repeat. The values come from the code behind published numbers:
pytorch-fid, torch-fidelity, clean-fid and prdc.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cleanfid.resize import make_resizer
from prdc import compute_prdc
from pytorch_fid import fid_score, inception
from safetensors.torch import save_file
from torch_fidelity import metric_kid
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from make import unit

TAPS = (64, 192, 768, 2048)
IMAGES, PICTURES, REAL, GENERATED = 500, 510, 520, 521
SIDE, STEP = 299, 23
SIZES = ((32, 32), (40, 52), (320, 310))
COUNT, FEW, DIMENSION = 60, 8, 12
SUBSETS, SUBSET = 5, 20


def stream_of(name):
    """Returns the FNV-1a hash of a tensor's name, so that the order of tensors does not matter."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def weight(name, shape):
    """Returns a weight of a network of normalised convolutions, scaled so that activations keep their magnitude."""
    u = 2 * unit(stream_of(name), shape) - 1
    if len(shape) == 4:
        u = u * (6 / np.prod(shape[1:])) ** 0.5
    elif name.endswith("running_var"):
        u = 1 + 0.5 * u
    elif name.endswith("bn.weight"):
        u = 1 + 0.2 * u
    else:
        u = 0.2 * u
    return u.to(torch.float32)


def squares(stream, count, side):
    """Returns images of uniform squares, `side` pixels wide: bytes, shape (count, 3, 299, 299)."""
    small = (256 * unit(stream, (count, 3, -(-SIDE // side), -(-SIDE // side)))).to(torch.uint8)
    return small.repeat_interleave(side, 2).repeat_interleave(side, 3)[:, :, :SIDE, :SIDE]


def features():
    """Returns the output of pytorch-fid's network for images that already have its size, at all four taps."""
    shapes = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    state = {name: weight(name, tuple(t.shape)) if t.is_floating_point() else t for name, t in shapes.items()}
    inception.load_state_dict_from_url = lambda *_, **__: state
    network = inception.InceptionV3((0, 1, 2, 3), resize_input=False).eval()
    with torch.no_grad():
        maps = network(squares(IMAGES, 3, 13).to(torch.float32) / 255)
    return {f"features.{tap}": F.adaptive_avg_pool2d(m, 1)[:, :, 0, 0].contiguous() for tap, m in zip(TAPS, maps)}


def resized():
    """Returns pictures of several sizes as three tools resize them for the network: every 23rd pixel of every 23rd row."""
    out = {}
    clean = make_resizer("PIL", False, "bicubic", (SIDE, SIDE))
    for i, size in enumerate(SIZES):
        picture = (256 * unit(PICTURES + i, (1, 3, *size))).to(torch.uint8)
        x = picture.to(torch.float32)
        tf1 = interpolate_bilinear_2d_like_tensorflow1x(x, size=(SIDE, SIDE), align_corners=False)
        cleaned = torch.from_numpy(clean(picture[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)[None]
        images = {
            "tf1": (tf1 - 128) / 128,
            "torch": 2 * F.interpolate(x / 255, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1,
            "clean": (cleaned - 128) / 128,
        }
        out |= {f"resized.{name}.{i}": image[:, :, ::STEP, ::STEP].contiguous() for name, image in images.items()}
    return out


def samples(stream, count):
    """Returns features whose neighbours are correlated."""
    u = 2 * unit(stream, (count, DIMENSION + 1)).numpy() - 1
    return u[:, 1:] + 0.5 * u[:, :-1] + (0.25 if stream == GENERATED else 0)


def frechet_of_few(real, generated):
    """Computes the distance from singular values of the samples, which is exact even for singular covariances."""
    centred = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (real, generated)]
    common = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return ((real.mean(0) - generated.mean(0)) ** 2).sum() + sum((x**2).sum() for x in centred) - 2 * common


def distances():
    """Computes FID, KID, precision, recall, density and coverage of the same features with the tools that define them."""
    real, generated = samples(REAL, COUNT), samples(GENERATED, COUNT)
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (real, generated)]
    out = {
        "fid": fid_score.calculate_frechet_distance(*moments[0], *moments[1]),
        "fid.few": frechet_of_few(real, generated[:FEW]),
        "fid.both_few": frechet_of_few(real[:FEW], generated[:FEW]),
        "kid.full": metric_kid.kernel_mmd(real, generated, kid_kernel="poly"),
    }
    # This is how torch-fidelity chooses subsets.
    choose = np.random.RandomState(2020).choice
    subsets = [[choose(COUNT, SUBSET, replace=False) for _ in range(2)] for _ in range(SUBSETS)]
    found = metric_kid.kid_features_to_metric(
        torch.from_numpy(real),
        torch.from_numpy(generated),
        kid_subsets=SUBSETS,
        kid_subset_size=SUBSET,
        kid_kernel="poly",
        rng_seed=2020,
        verbose=False,
    )
    out["kid"] = found[metric_kid.KEY_METRIC_KID_MEAN]
    out["kid.deviation"] = found[metric_kid.KEY_METRIC_KID_STD]
    out["kid.subsets"] = np.array(subsets, dtype=np.float64).reshape(2 * SUBSETS, SUBSET)
    out |= {name: compute_prdc(real, generated, 3)[name] for name in ("precision", "recall")}
    out |= {name: compute_prdc(real, generated, 5)[name] for name in ("density", "coverage")}
    return {name: torch.tensor(np.asarray(value), dtype=torch.float64) for name, value in out.items()}


def main():
    tensors = features() | resized() | distances()
    save_file(tensors, Path(__file__).with_name("fid.safetensors"))
    print(f"fid.safetensors: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
