//! Trains on images that the program has made itself, follows the run's log, stops it in the second task and goes on
//! later, to the same bits as if it had never stopped.
//!
//! ```sh
//! cargo run --release -p mergan-runs --example own_images
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use mergan_datasets::{Dataset, Labelled};
use mergan_record::Event;
use mergan_runs::{Happening, Outcome, Run, Scorer, Trained, Unobserved, configure};
use mergan_strategies::{Choice, Strategies};
use ndarray::Array4;

/// Draws squares of two sizes (N x 1 x 32 x 32 bytes) in many places.
fn squares(count: usize) -> Result<Dataset, Box<dyn Error>> {
    let labels: Vec<usize> = (0..count).map(|image| image % 2).collect();
    let images = Array4::from_shape_fn((count, 1, 32, 32), |(image, _, y, x)| {
        let (side, shift) = (8 + 8 * labels[image], image % 7);
        let is_inside = |at: usize| (4 + shift..4 + shift + side).contains(&at);
        if is_inside(x) && is_inside(y) { 255 } else { 0 }
    });
    let names = ["small", "large"].map(String::from).to_vec();
    // A tenth of each class is held out for the scores.
    Ok(Dataset::new("squares", names, Labelled::new(images, labels)?, None)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("run");
    let (data, strategies) = (squares(200)?, Strategies::built_in());
    let [dataset, strategy, preset] = [data.name.as_str(), "ra", "smoke"].map(String::from);
    let choice = Choice { dataset, strategy, preset, ..Choice::default() };
    let config = configure(choice, &data.manifest(), &strategies)?;

    // The observer sees what the log says, and may ask for an end.
    let stop = AtomicBool::new(false);
    let observer = |happening: &Happening| {
        if let Happening::Logged(Event::Progress { task, iteration, losses, .. }) = happening {
            println!("task {task}, iteration {iteration}: {losses:.2?}");
            stop.fetch_or(*task == 2, Ordering::Relaxed);
        }
    };
    let scorer = Scorer::obtain(None, &data, &folder.path().join("cache"), &Unobserved)?;
    let mut run = Run::start(&dir, config, &data, &strategies)?.scored_by(scorer.clone());
    assert_eq!(run.train(&observer, &|| stop.load(Ordering::Relaxed))?, Outcome::Stopped);
    assert_eq!(Trained::load(&dir)?.usage.class_names, ["small"]);
    drop(run);

    let mut run = Run::open(&dir, &data, &strategies)?.scored_by(scorer);
    assert_eq!(run.train(&Unobserved, &|| false)?, Outcome::Finished);
    println!("it has learned {}", Trained::load(&dir)?.usage.class_names.join(", "));
    Ok(())
}
