//! Tests what a user does with a run of adapters.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::extension::{extend, pictures};
use crate::{complaint, mergan, new_run, scores_of};

/// Returns the images of each of the three classes, as arrays in files.
fn drawn(run: &Path, folder: &Path) -> [Vec<u8>; 3] {
    ["disc", "ring", "square"].map(|class| {
        let out = folder.join("drawn.npy");
        mergan().arg("sample").arg(run).args(["--class", class, "--count", "20", "--out"]).arg(&out).assert().success();
        fs::read(out).unwrap()
    })
}

/// The preset learns two tasks as RA does and the third with adapters. The extension uses them too.
#[test]
fn an_extension_changes_no_image_of_the_classes_before() {
    let folder = tempfile::tempdir().unwrap();
    let (run, longer) = (folder.path().join("run"), folder.path().join("longer"));
    mergan().args(new_run("adapters", &run)).assert().success();
    let before = drawn(&run, folder.path());

    extend(&run, "frame", &pictures(folder.path(), 3), &longer).success();
    assert!(drawn(&longer, folder.path()) == before);
    let output = mergan().arg("evaluate").arg(&longer).arg("--json").assert().success();
    assert_eq!(serde_json::from_slice::<Value>(&output.get_output().stdout).unwrap(), scores_of(&longer, 4));
    mergan().arg("report").arg(&longer).arg("--out").arg(folder.path().join("report.html")).assert().success();

    let export =
        |from: &Path, name: &str| mergan().arg("export").arg(from).arg("--out").arg(folder.path().join(name)).assert();
    export(&longer, "generator.safetensors").success();
    let generator = longer.join("tasks/04/generator.safetensors");
    assert_eq!(fs::read(folder.path().join("generator.safetensors")).unwrap(), fs::read(generator).unwrap());
    let refusal = complaint(export(&longer, "generator.onnx"));
    assert!(refusal.contains("3 generators make these classes, and an ONNX file holds one"), "{refusal}");
    assert!(!folder.path().join("generator.onnx").exists());
    export(&run.join("tasks/01/generator.safetensors"), "first.onnx").success();
}
