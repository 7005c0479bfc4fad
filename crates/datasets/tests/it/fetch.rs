//! Tests every way in which fetching from a source can fail, and what is left behind.

use std::cell::RefCell;
use std::fs::{self, File};
use std::sync::{Barrier, LazyLock};
use std::time::Duration;

use mergan_datasets::{Error, Event, FetchOptions, fetch, load};

use crate::fixtures::{NAMES, Place, content, gzip, manifest};
use crate::server::{Answer, Request, Server};

const UNCUT: usize = usize::MAX;

/// Returns the requested archive, intact.
fn archive(request: &Request) -> Vec<u8> {
    // The archives are made once, because compression would disturb a test that times a server.
    static ARCHIVES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| NAMES.map(|name| gzip(&content(name))));
    let index = NAMES.iter().position(|name| request.file == format!("{name}.gz"));
    ARCHIVES[index.unwrap()].clone()
}

fn good_server() -> Server {
    Server::start(|request| Answer::File { bytes: archive(request), cut: UNCUT })
}

/// Returns an address at which nobody listens.
fn dead_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_mirror_is_asked_once() {
    let (place, server) = (Place::new(), good_server());
    let manifest = manifest(&[&server.url]);
    assert!(!manifest.is_cached(&place.options().cache));
    let files = fetch(&manifest, &place.options()).unwrap();
    assert_eq!(files.path(NAMES[0]).unwrap(), place.cache().join(NAMES[0]));
    place.assert_complete();
    assert!(manifest.is_cached(&place.options().cache));

    let again = fetch(&manifest, &place.options()).unwrap();
    assert_eq!(again, files);
    assert_eq!(server.requests().len(), 2);
    assert!(files.path("other").unwrap_err().to_string().contains("no file `other`"));
}

#[test]
fn a_mirror_may_serve_files_uncompressed() {
    let place = Place::new();
    let server =
        Server::start(|request| Answer::Whole { bytes: content(request.file.trim_end_matches(".gz")), cut: UNCUT });
    fetch(&manifest(&[&server.url]), &place.options()).unwrap();
    place.assert_complete();
}

#[test]
fn a_transfer_that_breaks_off_is_resumed() {
    let place = Place::new();
    let server = Server::start(|request| Answer::File { bytes: archive(request), cut: 120_000 });
    fetch(&manifest(&[&server.url]), &place.options()).unwrap();
    place.assert_complete();
    let ranges: Vec<_> = server.requests().iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some(120_000), Some(240_000), None]);
}

#[test]
fn a_later_process_resumes_what_an_earlier_one_left() {
    let (place, server) = (Place::new(), good_server());
    let whole = gzip(&content(NAMES[0]));
    // The leftover is cut in the middle, complete but not yet verified, or from another file altogether.
    for (left, ranges) in [
        (&whole[..1_000], vec![Some(1_000), None]),
        (&whole[..], vec![Some(whole.len()), None]),
        (&[9; 1_000][..], vec![Some(1_000), None, None]),
    ] {
        let before = server.requests().len();
        for name in NAMES {
            let _ = fs::remove_file(place.cache().join(name));
        }
        fs::write(place.cache().join(format!(".{}.part", NAMES[0])), left).unwrap();
        fetch(&manifest(&[&server.url]), &place.options()).unwrap();
        place.assert_complete();
        let asked: Vec<_> = server.requests()[before..].iter().map(|request| request.range).collect();
        assert_eq!(asked, ranges);
    }
}

#[test]
fn a_server_that_cuts_and_cannot_resume_is_left() {
    let place = Place::new();
    let cutting = Server::start(|request| Answer::Whole { bytes: archive(request), cut: 100_000 });
    let error = fetch(&manifest(&[&cutting.url]), &place.options()).unwrap_err().to_string();
    assert!(error.contains("the transfer broke off"), "{error}");
    // The bytes received are kept for the next attempt, under a name that cannot be mistaken for the file.
    assert_eq!(place.listing(), [".images.bin.part", ".lock"]);

    fetch(&manifest(&[&cutting.url, &good_server().url]), &place.options()).unwrap();
    place.assert_complete();
}

#[test]
fn altered_content_never_gets_a_final_name() {
    let place = Place::new();
    let mut altered = content(NAMES[0]);
    altered[77] ^= 1;
    for (bytes, reason) in [
        (altered.clone(), "has SHA-256"),
        (altered[1..].to_vec(), "has 299999 bytes, expected 300000"),
        ([&altered[..], &[0]].concat(), "is longer than the expected 300000 bytes"),
    ] {
        let archive = gzip(&bytes);
        let server = Server::start(move |_| Answer::File { bytes: archive.clone(), cut: UNCUT });
        let error = fetch(&manifest(&[&server.url]), &place.options()).unwrap_err().to_string();
        assert!(error.contains(&format!("{}: images.bin.gz: {reason}", server.url)), "{error}");
        assert_eq!(place.listing(), [".lock"]);
    }

    // A broken archive is refused too, and the file under the final name stays as it was.
    fs::write(place.cache().join(NAMES[0]), "placed by hand").unwrap();
    let mut broken = gzip(&content(NAMES[0]));
    broken[5_000] ^= 0xff;
    let server = Server::start(move |_| Answer::File { bytes: broken.clone(), cut: UNCUT });
    fetch(&manifest(&[&server.url]), &place.options()).unwrap_err();
    assert_eq!(place.listing(), [".lock", NAMES[0]]);
    assert_eq!(fs::read(place.cache().join(NAMES[0])).unwrap(), b"placed by hand");
}

#[test]
fn sources_are_tried_in_order_and_the_observer_hears_of_them() {
    let (place, dead, good) = (Place::new(), dead_address(), good_server());
    let busy = Server::start(|_| Answer::Status(503));
    let heard = RefCell::new(Vec::new());
    let observer = |event: Event<'_>| {
        heard.borrow_mut().push(match event {
            Event::Trying { from } => format!("try {from}"),
            Event::Failed { from, reason } => format!("fail {from} {reason}"),
            Event::Progress { file, done, total, .. } if Some(done) == total => format!("done {file}"),
            Event::Progress { .. } => return,
            other => panic!("{other:?}"),
        });
    };
    let options = FetchOptions { observer: &observer, ..place.options() };
    fetch(&manifest(&[&dead, &busy.url, &good.url]), &options).unwrap();
    place.assert_complete();

    let heard = heard.into_inner();
    assert_eq!(heard[0], format!("try {dead}"));
    assert!(heard[1].starts_with(&format!("fail {dead} images.bin.gz: ")), "{heard:?}");
    let busy = &busy.url;
    assert_eq!(
        heard[2..],
        [
            format!("try {busy}"),
            format!("fail {busy} images.bin.gz: the server answered with HTTP status 503"),
            format!("try {}", good.url),
            "done images.bin".into(),
            "done labels.bin".into(),
        ]
    );
}

#[test]
fn redirects_are_followed() {
    let (place, good) = (Place::new(), good_server());
    let target = good.url.clone();
    let redirecting = Server::start(move |_| Answer::Redirect(target.clone()));
    fetch(&manifest(&[&redirecting.url]), &place.options()).unwrap();
    place.assert_complete();
}

#[test]
fn a_stalled_or_endless_server_is_left_for_the_next() {
    for answer in [|| Answer::Stall, || Answer::Endless] {
        let (place, good) = (Place::new(), good_server());
        let bad = Server::start(move |_| answer());
        let options = FetchOptions { patience: Duration::from_secs(1), ..place.options() };
        fetch(&manifest(&[&bad.url, &good.url]), &options).unwrap();
        place.assert_complete();
        assert_eq!(bad.requests().len(), 1, "left at the first file");
    }
}

#[test]
fn offline_says_what_to_place_where() {
    let (place, server) = (Place::new(), good_server());
    fs::write(place.cache().join(NAMES[0]), "short").unwrap();
    let mut same_size = content(NAMES[1]);
    same_size[0] ^= 1;
    fs::write(place.data_dir().join(NAMES[1]), same_size).unwrap();
    let options = FetchOptions { offline: true, data_dir: Some(place.data_dir()), ..place.options() };
    let error = fetch(&manifest(&[&server.url]), &options).unwrap_err();
    let Error::Unavailable { missing, attempts, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &NAMES);
    let (cache, given) = (place.cache().display().to_string(), place.data_dir().display().to_string());
    assert_eq!(attempts[0].from, cache);
    assert_eq!(attempts[0].reason, "images.bin: has 5 bytes, expected 300000; labels.bin: is not there");
    assert_eq!(attempts[1].from, given);
    assert!(attempts[1].reason.starts_with("images.bin: is not there; labels.bin: has SHA-256 "));

    let text = error.to_string();
    let remedy = format!("remedy: place these files (uncompressed, or each with .gz added to its name) in {cache}");
    assert!(text.starts_with("cannot obtain all files of dataset `toy`; missing: images.bin, labels.bin\n"), "{text}");
    assert!(text.contains(&remedy), "{text}");
    assert!(server.requests().is_empty());
    assert_eq!(place.listing(), [NAMES[0]], "offline leaves no trace");

    // The same wrong file is replaced once there is a network.
    fetch(&manifest(&[&server.url]), &place.options()).unwrap();
    place.assert_complete();
}

#[test]
fn a_given_directory_is_used_raw_and_compressed() {
    let place = Place::new();
    fs::write(place.data_dir().join(NAMES[0]), content(NAMES[0])).unwrap();
    fs::write(place.data_dir().join("labels.bin.gz"), gzip(&content(NAMES[1]))).unwrap();
    let options = FetchOptions { offline: true, data_dir: Some(place.data_dir()), ..place.options() };
    let files = fetch(&manifest(&[]), &options).unwrap();
    assert_eq!(files.path(NAMES[0]).unwrap(), place.data_dir().join(NAMES[0]), "used where it lies");
    assert_eq!(files.path(NAMES[1]).unwrap(), place.cache().join(NAMES[1]), "uncompressed into the cache");
    assert_eq!(place.listing(), [".lock", NAMES[1]]);

    // Archives placed in the cache by hand are used too; a broken one is named in the error.
    fs::write(place.cache().join("images.bin.gz"), &gzip(&content(NAMES[0]))[..9_000]).unwrap();
    let options = FetchOptions { offline: true, ..place.options() };
    let error = fetch(&manifest(&[]), &options).unwrap_err().to_string();
    assert!(error.contains("toy/*.gz: images.bin.gz: cannot be read to its end"), "{error}");
    fs::write(place.cache().join("images.bin.gz"), gzip(&content(NAMES[0]))).unwrap();
    fetch(&manifest(&[]), &options).unwrap();
    assert_eq!(fs::read(place.cache().join(NAMES[0])).unwrap(), content(NAMES[0]));
}

#[test]
fn a_given_directory_that_does_not_exist_is_named() {
    let (place, server) = (Place::new(), good_server());
    let absent = place.path().join("absent");
    let options = FetchOptions { data_dir: Some(absent.clone()), ..place.options() };
    let error = fetch(&manifest(&[&server.url]), &options).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the data directory {} is not a folder", absent.display())), "{error}");
    assert!(server.requests().is_empty(), "a typing error must not start a download");
}

#[test]
fn a_complete_cache_is_only_read() {
    let place = Place::new();
    for name in NAMES {
        fs::write(place.cache().join(name), content(name)).unwrap();
    }
    fetch(&manifest(&[&dead_address()]), &place.options()).unwrap();
    assert_eq!(place.listing(), NAMES, "not even a lock is written, so the cache may be read-only");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (place, server) = (Place::new(), good_server());
    // A file where the cache should be stops even the superuser.
    fs::write(place.path().join("cache"), "").unwrap();
    let error = fetch(&manifest(&[&server.url]), &place.options()).unwrap_err().to_string();
    let expected = format!("cannot create the folder {}", place.path().join("cache").join("toy").display());
    assert!(error.starts_with(&expected) && error.contains("MERGAN_DATA"), "{error}");

    // A failure half-way through is this machine's fault too, so no further source is tried.
    fs::remove_file(place.path().join("cache")).unwrap();
    fs::create_dir_all(place.cache().join(".images.bin.tmp")).unwrap();
    let second = good_server();
    let error = fetch(&manifest(&[&server.url, &second.url]), &place.options()).unwrap_err();
    assert!(matches!(error, Error::Cache { .. }), "{error}");
    assert!(second.requests().is_empty());
}

#[test]
fn processes_that_fetch_at_once_download_once() {
    let (place, server) = (Place::new(), good_server());
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                fetch(&manifest(&[&server.url]), &place.options()).unwrap();
            });
        }
    });
    place.assert_complete();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_another_process_fetched_meanwhile_is_used() {
    let (place, server) = (Place::new(), good_server());
    // This test acts as the other process: it holds the lock, and finishes when the first process starts to wait.
    let lock = File::create(place.cache().join(".lock")).unwrap();
    lock.lock().unwrap();
    let observer = |event: Event<'_>| {
        assert_eq!(event, Event::Waiting { dataset: "toy" });
        for name in NAMES {
            fs::write(place.cache().join(name), content(name)).unwrap();
        }
        lock.unlock().unwrap();
    };
    let options = FetchOptions { observer: &observer, ..place.options() };
    fetch(&manifest(&[&server.url]), &options).unwrap();
    assert!(server.requests().is_empty());
}

#[test]
fn mnist_offline_and_absent_is_one_clear_error() {
    let place = Place::new();
    let options = FetchOptions { offline: true, ..place.options() };
    let error = load("mnist", &options).unwrap_err().to_string();
    assert!(error.contains("train-images-idx3-ubyte: is not there"), "{error}");
    assert!(error.contains(&place.path().join("cache/mnist").display().to_string()), "{error}");
}

#[test]
fn files_under_another_of_their_names_are_taken() {
    let place = Place::new();
    fs::write(place.data_dir().join("images-bin"), content(NAMES[0])).unwrap();
    fs::write(place.data_dir().join("labels-bin.gz"), gzip(&content(NAMES[1]))).unwrap();
    let options = FetchOptions { data_dir: Some(place.data_dir()), offline: true, ..place.options() };
    let files = fetch(&manifest(&[]), &options).unwrap();
    for name in NAMES {
        assert!(fs::read(files.path(name).unwrap()).unwrap() == content(name), "{name}");
    }
    for name in ["mnist", "fashion"] {
        let manifest = mergan_datasets::info(name, &place.options()).unwrap();
        let aliases: Vec<_> = manifest.files.iter().flat_map(|file| &file.aliases).collect();
        assert!(aliases.contains(&&"train-images.idx3-ubyte".to_string()) && aliases.len() == 4, "{aliases:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_leftover_that_is_a_link_is_replaced_and_not_followed() {
    let (place, server) = (Place::new(), good_server());
    fs::create_dir_all(place.cache()).unwrap();
    let victim = place.cache().join("victim");
    fs::write(&victim, "text").unwrap();
    for ending in ["part", "tmp"] {
        std::os::unix::fs::symlink(&victim, place.cache().join(format!(".{}.{ending}", NAMES[0]))).unwrap();
    }
    fetch(&manifest(&[&server.url]), &place.options()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "text");
    fs::remove_file(victim).unwrap();
    place.assert_complete();
}
