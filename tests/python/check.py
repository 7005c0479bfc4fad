"""Checks the output of `mergan` for other programs, with those programs.

    python check.py MERGAN FOLDER [--run DIR] [--torch]

MERGAN is the command, and FOLDER an empty folder to work in. A smoke run is trained there, unless DIR names a run of a
strategy whose generator knows its classes. Then the script checks that

- onnxruntime makes the same images from the exported generator as `mergan sample` does, for the same latents and classes,
  each independent of the others, with the same scores; and the same images from residual generators,
- TensorBoard's own loader reads the numbers of `events.jsonl`, also of a run that was resumed (not with --run),
- with --torch, PyTorch makes the same images from the weights, with batch and with standing statistics.

It prints the largest differences, and fails if they are too large. `requirements.txt` lists what it needs besides torch.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

TOLERANCE = 1e-4
COUNT = 256
# Where the networks in PyTorch are.
sys.path.insert(0, str(Path(__file__).parent.parent / "golden"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mergan")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    command = Command(arguments.mergan, arguments.folder)
    run = arguments.run or command.train("run", tasks=3, options=["--set", "model.latent=128", "--tensorboard"])

    generator = Exported(command, run)
    same_images(command, run, generator)
    same_scores(run, generator)
    if arguments.run is None:
        same_numbers(run)
        same_numbers(resumed(command))
    bare, residual = (arguments.folder / name for name in ("bare.safetensors", "residual.safetensors"))
    save_file(residual_weights(2), bare)
    # Exporting measures the standing statistics once, instead of with every sample.
    command("export", bare, "--out", residual)
    residual_generator = Exported(command, residual)
    same_images(command, residual, residual_generator)
    sizes = ["model.architecture=residual", "model.latent=128", "evaluation.batch=64"]
    photo = command.train("photo", tasks=2, options=[word for size in sizes for word in ("--set", size)])
    photo_generator = Exported(command, photo)
    same_images(command, photo, photo_generator)
    if arguments.torch:
        import residual as networks
        import resnet

        same_images_in_pytorch(command, run, generator)
        same_residual_images_in_pytorch(command, bare, residual_generator, resnet.Generator(2), number=3)
        same_residual_images_in_pytorch(command, photo, photo_generator, networks.Generator(2, channels=1), number=1)


class Command:
    """The `mergan` command, working in one folder."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def __call__(self, *arguments):
        subprocess.run([self.path, "--quiet", *map(str, arguments)], check=True)

    def train(self, name, tasks, options):
        run = self.folder / name
        choice = ["--dataset", "shapes", "--strategy", "ra", "--preset", "smoke", "--tasks", tasks]
        self("train", *choice, "--run", run, *options)
        return run

    def sample(self, run, name, latents, *options):
        np.save(self.folder / "latents.npy", latents)
        out = self.folder / "images.npy"
        self("sample", run, "--class", name, "--latents", self.folder / "latents.npy", "--floats", "--out", out, *options)
        return np.load(out)


class Exported:
    """The ONNX file of a run, loaded in onnxruntime."""

    def __init__(self, command, run):
        path = command.folder / "generator.onnx"
        command("export", run, "--out", path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        latent, label = self.session.get_inputs()
        assert (latent.name, label.name, latent.shape[0]) == ("latent", "class", "N"), (latent, label)
        names = json.loads(self.session.get_modelmeta().custom_metadata_map["classes"])
        self.classes = {int(number): name for number, name in names.items()}
        self.latents = np.random.default_rng(0).standard_normal((COUNT, latent.shape[1]), dtype=np.float32)

    def __call__(self, latents, classes):
        return self.session.run(["image"], {"latent": latents, "class": np.asarray(classes, np.int64)})[0]


def same_images(command, run, generator):
    z, worst = generator.latents, 0.0
    for number, name in generator.classes.items():
        theirs = generator(z, [number] * len(z))
        worst = max(worst, difference(theirs, command.sample(run, name, z)))
        worst = max(worst, difference(theirs[:1], command.sample(run, name, z[:1])))
    # A batch may mix classes, and a class that was not learned must not yield an image.
    order = np.resize(list(generator.classes), len(z))
    mixed = generator(z, order)
    for number in generator.classes:
        theirs = generator(z, [number] * len(z))
        worst = max(worst, difference(mixed[order == number], theirs[order == number]))
    unknown = 1 + max(generator.classes)
    if unknown < 10:
        assert np.isnan(generator(z[:1], [unknown])).all(), "a class that was not learned has an image"
    report(f"onnxruntime and mergan, {len(z)} images of each of {len(generator.classes)} classes", worst)


def residual_weights(width):
    """Returns a generator of the residual architecture with random weights, as PyTorch would save it."""
    random = np.random.default_rng(2)
    weights = {}

    def layer(name, *shape, mean=0.0):
        weights[f"{name}.weight"] = mean + 0.2 * random.standard_normal(shape, dtype=np.float32)
        weights[f"{name}.bias"] = 0.2 * random.standard_normal(shape[:1], dtype=np.float32)

    layer("fc", 128 * width, 128)
    weights["label.weight"] = 0.2 * random.standard_normal((10, 128 * width), dtype=np.float32)
    for i, (inputs, outputs) in enumerate([(8, 8), (8, 4), (4, 2), (2, 1)], 1):
        inputs, outputs = inputs * width, outputs * width
        layer(f"r{i}.n1", inputs, mean=1.0)
        layer(f"r{i}.c1", outputs, inputs, 3, 3)
        del weights[f"r{i}.c1.bias"]
        layer(f"r{i}.n2", outputs, mean=1.0)
        layer(f"r{i}.c2", outputs, outputs, 3, 3)
        layer(f"r{i}.skip", outputs, inputs, 1, 1)
    layer("n", width, mean=1.0)
    layer("c", 3, width, 3, 3)
    return {name: np.asarray(value, np.float32) for name, value in weights.items()}


def same_scores(run, generator):
    """Compares the accuracy of the exported file with the run's scores, using the classifier that scored the run."""
    task = max(path for path in (run / "tasks").iterdir() if (path / "scores.json").exists())
    rows = json.loads((task / "scores.json").read_text())["scores"]
    standing = {row["class"]: row for row in rows if row["metric"] == "standing_accuracy"}
    scorers = (Path(os.environ["MERGAN_DATA"]) / "scorers").glob("*.safetensors")
    of_run = standing[None]["card"]["sha256"]
    weights = load_file(next(path for path in scorers if hashlib.sha256(path.read_bytes()).hexdigest() == of_run))
    z = np.random.default_rng(1).standard_normal((2000, generator.latents.shape[1]), dtype=np.float32)
    ours, theirs = [], []
    for number in generator.classes:
        predicted = classify(weights, generator(z, [number] * len(z)))
        row = standing[number]
        samples = row["card"]["samples_per_class"]
        ours.append(row["value"])
        theirs.append(np.mean(predicted == number))
        # The latents differ from the run's, so both accuracies are estimates from samples.
        share = (samples * ours[-1] + len(z) * theirs[-1] + 1) / (samples + len(z) + 2)
        spread = np.sqrt(share * (1 - share) * (1 / samples + 1 / len(z)))
        assert abs(ours[-1] - theirs[-1]) < 5 * spread, f"class {number}: {theirs[-1]} and {ours[-1]} in scores.json"
    print(f"scores: {np.mean(theirs):.4f} of the exported file, {np.mean(ours):.4f} in scores.json")


def classify(weights, images):
    """Applies the scoring classifier to images in (-1, 1), which are first rounded to bytes as in scoring."""
    x = np.minimum(np.floor(images * 128 + 128), 255).reshape(len(images), -1).astype(np.float32) / 127.5 - 1
    layers = len(weights) // 2
    for i in range(1, layers + 1):
        x = x @ weights[f"l{i}.weight"].T + weights[f"l{i}.bias"]
        x = x if i == layers else np.maximum(x, 0)
    return x.argmax(1)


def resumed(command):
    """Returns a run that was stopped in its second task and then resumed."""
    options = ["--tensorboard", "--checkpoint-every", "1"]
    run = command.train("resumed", tasks=2, options=options)
    # This imitates a run that was killed two checkpoints ago.
    newest = max((run / "checkpoint").glob("task02-*"))
    newest.unlink()
    command("train", "--resume", run, "--tensorboard")
    return run


def same_numbers(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    lengths = {event["task"]: event["iterations"] for event in events if event["event"] == "progress"}
    start = {task: sum(lengths[before] for before in range(1, task)) for task in lengths}
    expected = {}
    for event in events:
        if event["event"] == "progress":
            for name, value in event["losses"].items():
                expected[f"losses/{name}", start[event["task"]] + event["iteration"]] = value
        elif event["event"] == "gap":
            expected["past_accuracy/mean", start[event["task"]] + event["iteration"]] = event["accuracy"]
        elif event["event"] == "evaluation":
            expected["accuracy", start[event["task"]] + lengths[event["task"]]] = event["accuracy"]

    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["scalars"]:
        if not tag.startswith("past_accuracy/class"):
            for scalar in accumulator.Scalars(tag):
                assert found.setdefault((tag, scalar.step), scalar.value) == scalar.value, (tag, scalar)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    worst = max(abs(found[key] - expected[key]) / max(1, abs(expected[key])) for key in expected)
    assert worst < 1e-6, worst
    images = accumulator.Images("samples")
    assert {image.step for image in images} == {start[task] + lengths[task] for task in lengths}
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images)
    print(f"tensorboard: {len(found)} numbers and {len(images)} images of {run.name} read back")


def same_images_in_pytorch(command, run, generator):
    import torch

    import make

    path = command.folder / "generator.safetensors"
    command("export", run, "--out", path)
    weights = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    standing = [[weights.pop(f"standing.{layer}.{name}") for name in ("mean", "variance")] for layer in range(3)]
    network = make.Generator(len(weights["c3.weight"]))
    network.load_state_dict(weights)
    with safe_open(path, "numpy") as file:
        together = json.loads(file.metadata()["mergan"])["batch"]
    z, batch, alone = generator.latents[:together], 0.0, 0.0
    with torch.no_grad():
        for number, name in generator.classes.items():
            set_standing(network, [None] * 3)
            theirs = network(torch.from_numpy(z), number).numpy()
            batch = max(batch, difference(theirs, command.sample(run, name, z, "--batch-statistics")))
            set_standing(network, standing)
            theirs = network(torch.from_numpy(z), number).numpy()
            alone = max(alone, difference(theirs, command.sample(run, name, z)))
            alone = max(alone, difference(theirs, generator(z, [number] * len(z))))
    report("PyTorch and mergan, batch statistics", batch)
    report("PyTorch, mergan and onnxruntime, standing statistics", alone)


def same_residual_images_in_pytorch(command, source, generator, network, number):
    import torch

    path = command.folder / "weights.safetensors"
    command("export", source, "--out", path)
    weights = load_file(path).items()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights if not name.startswith("standing.")})
    z = generator.latents[:64]
    with torch.no_grad():
        theirs = network(torch.from_numpy(z), number).numpy()
    ours = command.sample(source, generator.classes[number], z, "--batch-statistics")
    report(f"PyTorch and mergan, {type(network).__module__}, batch statistics", difference(theirs, ours))


def set_standing(network, standing):
    for norm, tables in zip((network.n1, network.n2, network.n3), standing):
        norm.standing = tables


def difference(left, right):
    assert left.shape == right.shape, (left.shape, right.shape)
    return float(np.abs(left - right).max())


def report(what, worst):
    print(f"{what}: largest difference {worst:.2e}")
    assert worst <= TOLERANCE, f"{what}: more than {TOLERANCE}"


if __name__ == "__main__":
    main()
