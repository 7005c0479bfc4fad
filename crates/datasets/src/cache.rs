//! The folder where downloads are kept unless the caller chooses another.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the cache directory: the environment variable `MERGAN_DATA` if it is set; else `data/cache` in the working
/// directory if there is a `data` folder (as in a clone of the repository); else `mergan` in the user's cache
/// directory (`$XDG_CACHE_HOME`, `~/.cache`).
pub fn default_cache() -> PathBuf {
    choose(
        |variable| std::env::var_os(variable).filter(|value| !value.is_empty()),
        Path::new("data").is_dir(),
        std::env::home_dir(),
    )
}

fn choose(variable: impl Fn(&str) -> Option<OsString>, in_clone: bool, home: Option<PathBuf>) -> PathBuf {
    if let Some(chosen) = variable("MERGAN_DATA") {
        return chosen.into();
    }
    if in_clone {
        return ["data", "cache"].iter().collect();
    }
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("mergan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_applies_is_taken() {
        let set = |names: &'static [&str]| move |name: &str| names.contains(&name).then(|| OsString::from(name));
        let home = || Some(PathBuf::from("home"));
        let both = set(&["MERGAN_DATA", "XDG_CACHE_HOME"]);
        assert_eq!(choose(both, true, home()), Path::new("MERGAN_DATA"));
        assert_eq!(choose(set(&["XDG_CACHE_HOME"]), true, home()), Path::new("data/cache"));
        assert_eq!(choose(set(&["XDG_CACHE_HOME"]), false, home()), Path::new("XDG_CACHE_HOME/mergan"));
        assert_eq!(choose(set(&[]), false, home()), Path::new("home/.cache/mergan"));
        assert_eq!(choose(set(&[]), false, None), std::env::temp_dir().join("mergan"));
    }
}
