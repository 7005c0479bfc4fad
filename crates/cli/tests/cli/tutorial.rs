//! Tests the tutorial's commands as they are printed, but for the preset.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cache;
use crate::data::own_pictures;

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

#[cfg(unix)]
#[test]
fn its_commands_do_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::rename(own_pictures().keep(), folder.path().join("pictures")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mergan"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let blocks = TUTORIAL.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands: Vec<_> = blocks.flat_map(str::lines).collect();
    assert!(commands.len() > 10 && commands.iter().all(|command| command.starts_with("mergan ")), "{commands:?}");
    for command in commands {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command.replace("--preset demo", "--preset smoke")])
            .current_dir(&folder)
            .env("PATH", &path)
            .env("MERGAN_DATA", cache());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for made in [
        "runs/ra/tensorboard",
        "all.png",
        "rings.png",
        "samples/ring/0099.png",
        "between.png",
        "tasks/03.png",
        "learning.gif",
        "scores.json",
        "report.html",
        "mine/report.html",
        "results.json",
        "ledger.md",
        "generator.onnx",
        "generator.safetensors",
        "mergan.bash",
        "man/mergan-train.1",
    ] {
        assert!(TUTORIAL.contains(made.split('/').next().unwrap()), "the tutorial does not speak of {made}");
        assert!(folder.path().join(made).exists(), "{made} was not made");
    }
}
