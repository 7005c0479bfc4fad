//! Follows a run that another program writes: reads its events, and tells its files from others in its directory.
use mergan_record::metric::{ACCURACY, Metric};
use mergan_record::{Event, Layout, Owner, Position, events, write_whole};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("mergan-record-{}", std::process::id()));
    let run = Layout::new(&folder);
    std::fs::create_dir_all(run.checkpoints())?;
    let scored = Event::Evaluation { task: 1, accuracy: 0.875, seconds: 1.5, kept: None };
    let later = "{\"event\":\"moved\",\"to\":\"elsewhere\"}\n";
    std::fs::write(run.events(), [&scored.to_line("2026-11-27T00:20:36Z"), later, "{\"event\":\"eval"].concat())?;
    assert_eq!(events::read(&run.events())?, [scored, Event::Unknown]);
    write_whole(&run.checkpoint(Position::end_of(1)), b"weights")?;
    assert_eq!(run.owner(&run.checkpoint(Position::end_of(1))), Owner::Run);
    assert_eq!(run.owner(&folder.join("notes.txt")), Owner::Other);
    let accuracy = Metric::of(ACCURACY).ok_or("the accuracy is in the list")?;
    assert_eq!(format!("{}: {}", accuracy.title(), accuracy.show(0.875)), "accuracy, %: 87.50");
    Ok(std::fs::remove_dir_all(folder)?)
}
