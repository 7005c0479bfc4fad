//! Writes sound files for every reader, from which libFuzzer starts: `seeds FOLDER` makes `FOLDER/READER/NAME`, and
//! prints the names of the readers.

use std::path::PathBuf;
use std::{env, fs, io};

use mergan_fuzz::READERS;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).expect("seeds FOLDER"));
    for reader in &READERS {
        let corpus = folder.join(reader.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (reader.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed{number}")), seed)?;
        }
        println!("{}", reader.name);
    }
    Ok(())
}
