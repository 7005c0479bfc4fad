//! The npm source, with stand-ins for the client: what it may leave, say, or lack.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{FetchOptions, Manifest, NpmPackage, fetch};

use crate::fixtures::{NAMES, Place, content, gzip, manifest};

fn packaged() -> Manifest {
    let npm = NpmPackage { package: "toy-data@1.0.0".into(), folder: "package/data".into() };
    Manifest { npm: Some(npm), ..manifest(&[]) }
}

fn with_client(place: &Place, client: impl Into<PathBuf>) -> FetchOptions<'static> {
    FetchOptions { npm: client.into().into(), ..place.options() }
}

/// A client that runs `script` in the folder it is to fill.
#[cfg(unix)]
fn client(place: &Place, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = place.path().join("npm");
    let text = format!("#!/bin/sh\nset -e\n[ \"$1 $2\" = 'pack toy-data@1.0.0' ]\n{script}\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A tarball as the registry serves it, with the files of the toy dataset that `names` lists.
fn tarball(place: &Place, names: &[&str]) -> PathBuf {
    let mut archive = tar::Builder::new(Vec::new());
    for name in
        ["readme.md", "data/other"].into_iter().map(String::from).chain(names.iter().map(|n| format!("data/{n}")))
    {
        let bytes = content(name.trim_start_matches("data/"));
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("package/{name}"), &bytes[..]).unwrap();
    }
    let path = place.path().join("toy-data-1.0.0.tgz");
    fs::write(&path, gzip(&archive.into_inner().unwrap())).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn files_are_taken_out_of_the_package() {
    let place = Place::new();
    let tarball = tarball(&place, &NAMES);
    let client = client(&place, &format!("cp '{}' .", tarball.display()));
    fetch(&packaged(), &with_client(&place, client)).unwrap();
    place.assert_complete();
}

#[cfg(unix)]
#[test]
fn the_cache_may_be_a_relative_path() {
    let place = Place::new();
    let tarball = tarball(&place, &NAMES);
    let client = client(&place, &format!("cp '{}' .", tarball.display()));
    let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<PathBuf>();
    let relative = |path: &Path| up.join(path.strip_prefix("/").unwrap());
    let options = with_client(&place, client);
    fetch(&packaged(), &FetchOptions { cache: relative(&options.cache), ..options }).unwrap();
    place.assert_complete();
}

#[cfg(unix)]
#[test]
fn a_package_that_lacks_a_file_gives_the_others() {
    let place = Place::new();
    let tarball = tarball(&place, &NAMES[..1]);
    let client = client(&place, &format!("cp '{}' .", tarball.display()));
    let error = fetch(&packaged(), &with_client(&place, client)).unwrap_err().to_string();
    assert!(error.contains("npm package toy-data@1.0.0: the package holds no package/data/labels.bin"), "{error}");
    assert_eq!(place.listing(), [".lock", NAMES[0]]);
}

#[cfg(unix)]
#[test]
fn what_the_client_says_is_passed_on() {
    for (script, expected) in [
        ("echo 'npm error code ENOTFOUND' >&2; exit 3", "pack` failed (exit status: 3): npm error code ENOTFOUND"),
        ("exit 0", "pack` left no .tgz"),
        ("echo nonsense > toy.tgz", "the package's archive: "),
    ] {
        let place = Place::new();
        let client = client(&place, script);
        let error = fetch(&packaged(), &with_client(&place, client)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(place.listing(), [".lock"]);
    }
}

#[test]
fn a_client_that_is_not_installed_is_named() {
    let place = Place::new();
    let absent = place.path().join("no-such-npm");
    let error = fetch(&packaged(), &with_client(&place, &absent)).unwrap_err().to_string();
    assert!(error.contains(&format!("the npm client `{}` is not installed", absent.display())), "{error}");
}
