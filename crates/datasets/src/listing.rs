//! What lies in a folder of pictures: the pictures, wherever in it they lie, and what is passed over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::fetch::{Event, FetchOptions};
use crate::picture::PICTURE_ENDINGS;

/// Names that operating systems and archives leave beside pictures, in lower case.
const LEFT_BY_OTHERS: [&str; 5] = ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"];

/// The most endings that are named; the rest are counted together.
const MOST_ENDINGS: usize = 6;

/// Lists the pictures in `folder` and its subfolders, sorted by their paths. Names that start with a dot and the files
/// that operating systems leave are passed over; other files that are no pictures are passed over and counted
/// ([`Event::Noted`]). With `options.images.skip_bad`, pictures that cannot be opened are left out
/// ([`Event::Skipped`]).
///
/// # Errors
/// When a folder or, without `skip_bad`, a picture cannot be opened; when a link leads out of the folder, unless
/// `options.images.follow_links`, or back to a folder that was listed already; when two names cannot be told apart.
pub fn list_pictures(folder: &Path, options: &FetchOptions<'_>) -> Result<Vec<PathBuf>, Error> {
    list(folder, options).map(|(_, pictures)| pictures)
}

/// Returns the folder without links in its path, and the pictures in it, see [`list_pictures`].
pub(crate) fn list(folder: &Path, options: &FetchOptions<'_>) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    let mut listing = Listing::new(folder, options)?;
    let pictures = listing.pictures(&listing.root.clone());
    Ok((listing.tell(), pictures?))
}

/// Lists parts of a folder, and counts what it passes over.
pub(crate) struct Listing<'a> {
    /// The folder, without links in its path.
    pub(crate) root: PathBuf,
    options: &'a FetchOptions<'a>,
    /// How many files of each ending are no pictures.
    others: BTreeMap<String, usize>,
    /// The pictures that belong to nothing.
    loose: Vec<PathBuf>,
}

/// The entries of one folder, each sorted by name.
pub(crate) struct Entries {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) files: Vec<PathBuf>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(folder: &Path, options: &'a FetchOptions<'a>) -> Result<Self, Error> {
        let root = fs::canonicalize(folder).map_err(read_error(folder))?;
        Ok(Self { root, options, others: BTreeMap::new(), loose: Vec::new() })
    }

    /// Lists what lies directly in `folder`, except what operating systems leave there. A link that leads out of the
    /// root is refused unless the user asked for it to be followed: the user may not be entitled to share its target,
    /// and the target does not move with the folder.
    pub(crate) fn entries(&self, folder: &Path) -> Result<Entries, Error> {
        let found = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = Entries { folders: Vec::new(), files: Vec::new() };
        let mut names = HashSet::new();
        for entry in found.map_err(read_error(folder))? {
            let (path, name) = (entry.path(), entry.file_name());
            let text = name.to_string_lossy();
            if text.starts_with('.') || LEFT_BY_OTHERS.contains(&text.to_lowercase().as_str()) {
                continue;
            }
            if !names.insert(text.clone().into_owned()) {
                return Err(Error::SameName { name: text.into_owned(), folder: folder.into() });
            }
            let kind = entry.file_type().map_err(read_error(&path))?;
            // A link to nothing counts as the file that it stands for.
            let target = if kind.is_symlink() { fs::canonicalize(&path).ok() } else { None };
            if target.is_some_and(|target| !target.starts_with(&self.root)) && !self.options.images.follow_links {
                return Err(Error::Outside { path, root: self.root.clone() });
            }
            if path.is_dir() { &mut entries.folders } else { &mut entries.files }.push(path);
        }
        entries.folders.sort();
        entries.files.sort();
        Ok(entries)
    }

    /// Lists the pictures in a folder and its subfolders.
    pub(crate) fn pictures(&mut self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let (mut pictures, mut listed, mut pending) = (Vec::new(), HashSet::new(), vec![folder.to_path_buf()]);
        while let Some(folder) = pending.pop() {
            if !listed.insert(fs::canonicalize(&folder).map_err(read_error(&folder))?) {
                return Err(Error::ListedTwice { path: folder });
            }
            let Entries { folders, files } = self.entries(&folder)?;
            pending.extend(folders);
            for file in self.only_pictures(files) {
                match opened(&file) {
                    Ok(()) => pictures.push(file),
                    Err(reason) => self.leave_out(&file, reason)?,
                }
            }
        }
        pictures.sort();
        Ok(pictures)
    }

    /// Returns the files whose names end like those of pictures, and counts the others.
    fn only_pictures(&mut self, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let (pictures, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_picture(path));
        for file in others {
            *self.others.entry(ending(&file)).or_default() += 1;
        }
        pictures
    }

    /// Counts files that lie beside the folders of classes.
    pub(crate) fn pass_over(&mut self, files: Vec<PathBuf>) {
        let loose = self.only_pictures(files);
        self.loose.extend(loose);
    }

    fn leave_out(&self, picture: &Path, reason: String) -> Result<(), Error> {
        let picture = picture.display().to_string();
        if !self.options.images.skip_bad {
            return Err(Error::Picture { picture, reason });
        }
        (self.options.observer)(Event::Skipped { picture: &picture, reason: &reason });
        Ok(())
    }

    /// Tells the observer what was passed over, and returns the folder without links in its path.
    pub(crate) fn tell(self) -> PathBuf {
        let tell = |what: String| (self.options.observer)(Event::Noted { what: &what });
        if let Some(first) = self.loose.first() {
            let first = first.strip_prefix(&self.root).unwrap_or(first).display();
            tell(match self.loose.len() {
                1 => format!("1 picture lies in no class's folder: {first}"),
                count => format!("{count} pictures lie in no class's folder, {first} among them"),
            });
        }
        if !self.others.is_empty() {
            tell(described(&self.others));
        }
        self.root
    }
}

/// Describes how many files of each ending are no pictures, the most frequent endings first.
fn described(others: &BTreeMap<String, usize>) -> String {
    let mut endings: Vec<_> = others.iter().collect();
    endings.sort_by_key(|&(_, count)| Reverse(count));
    let (named, rest) = endings.split_at(endings.len().min(MOST_ENDINGS));
    let mut parts: Vec<_> = named.iter().map(|(ending, count)| format!("{ending} ({count})")).collect();
    if !rest.is_empty() {
        parts.push(format!("others ({})", rest.iter().map(|&(_, count)| count).sum::<usize>()));
    }
    let files = match others.values().sum() {
        1 => "1 file is no picture".into(),
        total => format!("{total} files are no pictures"),
    };
    format!("{files} that this reads: {}", parts.join(", "))
}

/// Returns whether a file's name ends like a picture's.
pub(crate) fn is_picture(path: &Path) -> bool {
    PICTURE_ENDINGS.iter().any(|known| ending(path).strip_prefix('.') == Some(known))
}

/// Returns the ending of a file's name in lower case, with its dot.
fn ending(path: &Path) -> String {
    match path.extension() {
        Some(ending) => format!(".{}", ending.to_string_lossy().to_lowercase()),
        None => "no ending".into(),
    }
}

/// Checks that a file can be read; the error says why it cannot.
fn opened(path: &Path) -> Result<(), String> {
    match (fs::metadata(path), fs::read_link(path)) {
        (Err(_), Ok(target)) => Err(format!("it is a link to {}, which cannot be reached", target.display())),
        (Err(error), _) => Err(error.to_string()),
        (Ok(found), _) if !found.is_file() => Err("it is no file".into()),
        _ => File::open(path).map(drop).map_err(|error| error.to_string()),
    }
}

/// Adds the file that could not be read.
pub(crate) fn read_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read { path: path.into(), source }
}
