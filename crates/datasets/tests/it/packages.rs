//! Tests packages as sources, with stand-ins for the clients: what they may leave, say, or lack.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{FetchOptions, Manifest, Package, PackageManager, fetch};

use crate::fixtures::{NAMES, Place, content, gzip, manifest};

fn packaged(manager: PackageManager) -> Manifest {
    let name = match manager {
        PackageManager::Npm => "toy-data@1.0.0",
        PackageManager::Debian => "dataset-toy",
    };
    let package = Package { manager, name: name.into(), folder: "package/data".into() };
    Manifest { packages: vec![package], ..manifest(&[]) }
}

fn npm() -> Manifest {
    packaged(PackageManager::Npm)
}

fn debian() -> Manifest {
    packaged(PackageManager::Debian)
}

/// Returns options in which `client` stands in for both clients.
fn with_client(place: &Place, client: impl Into<PathBuf>) -> FetchOptions<'static> {
    let client = client.into();
    FetchOptions { npm: client.clone().into(), apt_get: client.into(), ..place.options() }
}

/// Makes a client that runs `script` in the folder it is to fill, if it is asked for one of the toy packages.
#[cfg(unix)]
fn client(place: &Place, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = place.path().join("client");
    let text = format!(
        "#!/bin/sh\nset -e\nfor last; do true; done\n[ \"$1 $last\" = 'pack toy-data@1.0.0' ] || [ \"$1 $last\" = \
         'download dataset-toy' ]\n{script}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Makes a tar archive of the toy dataset's files that `names` lists, compressed if the name ends in `.gz`.
fn tarball(top: &str, names: &[&str]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in
        ["readme.md", "data/other"].into_iter().map(String::from).chain(names.iter().map(|n| format!("data/{n}")))
    {
        let plain = name.trim_start_matches("data/").trim_end_matches(".gz");
        let bytes = if name.ends_with(".gz") { gzip(&content(plain)) } else { content(plain) };
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{top}package/{name}"), &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Makes a package as npm's registry serves it.
fn tgz(place: &Place, names: &[&str]) -> PathBuf {
    let path = place.path().join("toy-data-1.0.0.tgz");
    fs::write(&path, gzip(&tarball("", names))).unwrap();
    path
}

/// Makes a Debian package whose files lie in a member called `data_name`.
fn deb(place: &Place, data_name: &str, data: &[u8]) -> PathBuf {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar.gz", b"odd"), (data_name, data)] {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend(content);
        bytes.extend(&b"\n"[..content.len() % 2]);
    }
    let path = place.path().join("dataset-toy_1.0_all.deb");
    fs::write(&path, bytes).unwrap();
    path
}

/// Makes a client that leaves a copy of `package`.
#[cfg(unix)]
fn copying(place: &Place, package: &Path) -> PathBuf {
    client(place, &format!("cp '{}' .", package.display()))
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[cfg(unix)]
#[test]
fn files_are_taken_out_of_the_package() {
    for (manifest, package) in [
        (npm(), (|place| tgz(place, &NAMES)) as fn(&Place) -> PathBuf),
        (debian(), |place| deb(place, "data.tar.xz", &xz(&tarball("./", &["images.bin.gz", "labels.bin"])))),
        (debian(), |place| deb(place, "data.tar.gz", &gzip(&tarball("./", &NAMES)))),
        (debian(), |place| deb(place, "data.tar", &tarball("", &NAMES))),
    ] {
        let place = Place::new();
        let client = copying(&place, &package(&place));
        fetch(&manifest, &with_client(&place, client)).unwrap();
        place.assert_complete();
    }
}

#[cfg(unix)]
#[test]
fn the_cache_may_be_a_relative_path() {
    let place = Place::new();
    let client = copying(&place, &tgz(&place, &NAMES));
    let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<PathBuf>();
    let relative = |path: &Path| up.join(path.strip_prefix("/").unwrap());
    let options = with_client(&place, client);
    fetch(&npm(), &FetchOptions { cache: relative(&options.cache), ..options }).unwrap();
    place.assert_complete();
}

#[cfg(unix)]
#[test]
fn a_package_that_lacks_a_file_gives_the_others() {
    let place = Place::new();
    let client = copying(&place, &tgz(&place, &NAMES[..1]));
    let error = fetch(&npm(), &with_client(&place, client)).unwrap_err().to_string();
    assert!(error.contains("npm package toy-data@1.0.0: the package holds no package/data/labels.bin"), "{error}");
    assert_eq!(place.listing(), [".lock", NAMES[0]]);
}

#[cfg(unix)]
#[test]
fn broken_packages_say_where() {
    let whole = xz(&tarball("./", &NAMES));
    for (name, data, expected) in [
        ("data.tar.zst", &b"zst"[..], "data.tar is compressed as .zst, expected .xz or .gz"),
        ("other", b"", "it holds no data.tar"),
        ("data.tar.xz", &whole[..whole.len() / 2], "Debian package dataset-toy: "),
        ("data.tar.xz", b"no xz", "Debian package dataset-toy: the package's archive: "),
    ] {
        let place = Place::new();
        let client = copying(&place, &deb(&place, name, data));
        let error = fetch(&debian(), &with_client(&place, client)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(place.listing(), [".lock"]);
    }
}

#[cfg(unix)]
#[test]
fn what_the_client_says_is_passed_on() {
    for (manifest, script, expected) in [
        (
            npm(),
            "echo 'npm error code ENOTFOUND' >&2; exit 3",
            "pack` failed (exit status: 3): npm error code ENOTFOUND",
        ),
        (npm(), "exit 0", "pack` left no .tgz"),
        (npm(), "echo nonsense > toy.tgz", "the package's archive: "),
        (debian(), "exit 0", "download` left no .deb"),
        (debian(), "echo nonsense > toy.deb", "it does not start as an ar archive does"),
        (
            debian(),
            "echo 'E: Unable to locate package dataset-toy' >&2; exit 100",
            "E: Unable to locate package dataset-toy; `apt-get update` as root may find it",
        ),
    ] {
        let place = Place::new();
        let client = client(&place, script);
        let error = fetch(&manifest, &with_client(&place, client)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(place.listing(), [".lock"]);
    }
}

#[test]
fn a_client_that_is_not_installed_is_named() {
    let place = Place::new();
    let absent = place.path().join("no-such-client");
    for manifest in [npm(), debian()] {
        let error = fetch(&manifest, &with_client(&place, &absent)).unwrap_err().to_string();
        assert!(error.contains(&format!("the client `{}` is not installed", absent.display())), "{error}");
    }
}
