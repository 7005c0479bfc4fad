//! Tests the networks for photographs and the augmentation of images, from the command line to the exported generator.

use std::fs;
use std::path::Path;

use crate::data::own_pictures;
use crate::{complaint, mergan};

/// Returns the command of a training on a folder of pictures, with options separated by spaces.
fn train(pictures: &Path, run: &Path, options: &str) -> assert_cmd::Command {
    let mut command = mergan();
    command.arg("train").arg("--dataset").arg(pictures).arg("--run").arg(run).args(options.split(' '));
    command
}

#[test]
fn residual_networks_are_trained_on_augmented_pictures_extended_and_exported() {
    let (pictures, runs) = (own_pictures(), tempfile::tempdir().unwrap());
    let run = runs.path().join("run");
    let chosen = "--strategy ra --preset smoke --set model.architecture=residual --set training.mirror=true \
                  --set training.augment=color,translation,cutout --set training.batch=4";
    train(pictures.path(), &run, chosen).assert().success();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for line in ["architecture = \"residual\"", "mirror = true", "augment = \"color,translation,cutout\""] {
        assert!(config.contains(line), "{config}");
    }
    let mut extend = mergan();
    extend.args(["extend", "--name", "again", "--images"]).arg(pictures.path().join("dark")).arg(&run);
    extend.assert().success();
    let extended = runs.path().join("run-again");
    for (class, out) in [("dark", "dark.png"), ("again", "again.png")] {
        let mut sample = mergan();
        sample.arg("sample").arg(&extended).args(["--class", class, "--count", "4", "--out"]);
        sample.arg(runs.path().join(out)).assert().success();
    }
    let model = runs.path().join("generator.onnx");
    mergan().arg("export").arg(&extended).arg("--out").arg(&model).assert().success();
    let model = fs::read(model).unwrap();
    for name in ["r3.c2.weight", "c32.weight", "norm6.shift", "Resize"] {
        assert!(model.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}

#[test]
fn choices_that_do_not_fit_are_refused_with_those_that_do() {
    let (pictures, runs) = (own_pictures(), tempfile::tempdir().unwrap());
    let run = runs.path().join("run");
    let smoke = "--strategy sft --preset smoke --set";
    for (change, expected) in [
        ("model.architecture=resnet", "make 64 x 64; model.architecture may be digit or residual"),
        ("model.architecture=residual --side 64", "make 32 x 32; model.architecture may be resnet or residual64"),
        (
            "model.architecture=vgg",
            "unknown variant `vgg`, expected one of `digit`, `resnet`, `residual`, `residual64`",
        ),
        (
            "training.augment=color,flip",
            "there is no augmentation `flip`; training.augment names any of color, translation",
        ),
        ("training.augment=3", "invalid type: integer `3`, expected a string"),
        ("training.mirror=often", "invalid type: string \"often\", expected a boolean"),
    ] {
        let error = complaint(train(pictures.path(), &run, &format!("{smoke} {change}")).assert());
        assert!(error.contains(expected), "{change}: {error}");
        assert!(!run.exists(), "{change}");
    }
}

#[test]
fn the_preset_for_photographs_is_told_of_where_the_images_are_in_colour() {
    let (pictures, runs) = (own_pictures(), tempfile::tempdir().unwrap());
    let said = |options: &str| {
        let estimate = format!("--strategy sft --tasks 1 --estimate --set training.batch=4 {options}");
        let output =
            train(pictures.path(), &runs.path().join("run"), &estimate).assert().success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    let hint = "the images are in colour: photographs are better served by --preset photo";
    assert!(said("--preset quick").contains(hint));
    for other in ["--preset quick --grey", "--preset photo", "--preset smoke"] {
        let text = said(other);
        assert!(!text.contains(hint) && text.contains("seconds an iteration"), "{text}");
    }
}
