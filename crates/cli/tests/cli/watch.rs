//! Tests `mergan watch` on a terminal of its own, and `mergan report --watch`.

use crate::{complaint, finished_run, mergan};

#[test]
fn what_is_no_terminal_is_refused_and_so_is_what_is_no_run() {
    let error = complaint(mergan().arg("watch").arg(finished_run()).assert());
    assert!(error.contains("watch draws on a terminal") && error.contains("mergan report --watch"), "{error}");
    let error = complaint(mergan().args(["watch", "no-such-run"]).assert());
    assert!(error.contains("no-such-run"), "{error}");
}

#[cfg(unix)]
mod on_a_terminal {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::path::Path;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{FdFlags, fcntl_setfd};
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    use crate::{finished_run, mergan, new_run};

    /// The command on a pseudo-terminal of 80 x 24 characters.
    struct Terminal {
        child: Child,
        /// Our side of the terminal.
        ours: Option<File>,
        /// What it was sent since something was expected.
        shown: String,
    }

    /// How long a test waits for what happens at once on an idle machine.
    const PATIENCE: Duration = Duration::from_secs(120);
    /// How long the terminal keeps its width; longer than it takes until a run is read anew.
    const INTERVAL: Duration = Duration::from_secs(1);

    impl Terminal {
        fn of(runs: &[&Path]) -> Self {
            let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            // The command must not keep our side open.
            fcntl_setfd(&ours, FdFlags::CLOEXEC).unwrap();
            grantpt(&ours).unwrap();
            unlockpt(&ours).unwrap();
            let ours = File::from(ours);
            resize(&ours, 80);
            let name = ptsname(&ours, Vec::new()).unwrap();
            let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_mergan"));
            command.arg("watch").args(runs).env("TERM", "xterm-256color").env_remove("NO_COLOR");
            command.stdin(theirs.try_clone().unwrap()).stdout(theirs).stderr(Stdio::null());
            let child = command.spawn().unwrap();
            Terminal { child, ours: Some(ours), shown: String::new() }
        }

        /// Waits until the terminal shows this text. Only what changes is sent, so the text need not be sent in one piece:
        /// another width now and then makes the command draw everything, but for blanks.
        fn expect(&mut self, text: &str) {
            let begun = Instant::now();
            let ours = self.ours.as_mut().unwrap();
            for width in [81, 80].into_iter().cycle() {
                let same_width = Instant::now();
                while same_width.elapsed() < INTERVAL {
                    let waiting = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                    if poll(&mut [PollFd::new(ours, PollFlags::IN)], Some(&waiting)).unwrap() == 0 {
                        continue;
                    }
                    let mut bytes = [0; 4096];
                    // Reading fails when the command has ended.
                    let count = ours.read(&mut bytes).unwrap_or(0);
                    self.shown += &String::from_utf8_lossy(&bytes[..count]);
                    if self.shown.contains(text) {
                        self.shown.clear();
                        return;
                    }
                    assert!(count > 0, "no `{text}` in {:?}", self.shown);
                }
                assert!(begun.elapsed() < PATIENCE, "no `{text}` in {:?}", self.shown);
                resize(ours, width);
            }
        }

        fn press(&mut self, keys: &str) {
            self.ours.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        }

        fn end(&mut self) -> ExitStatus {
            let begun = Instant::now();
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                assert!(begun.elapsed() < PATIENCE, "it does not end");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn resize(terminal: &File, width: u16) {
        tcsetwinsize(terminal, Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    impl Drop for Terminal {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// The sequence that leaves the screen on which programs draw.
    const LEFT: &str = "\u{1b}[?1049l";

    #[test]
    fn a_finished_run_is_drawn_and_q_quits_and_nothing_is_written() {
        let files = || fs::read_dir(finished_run()).unwrap().count();
        let before = files();
        let mut terminal = Terminal::of(&[finished_run()]);
        for text in ["ra: RA on shapes", "finished", "newest samples", "▀", "q quits"] {
            terminal.expect(text);
        }
        terminal.press("q");
        terminal.expect(LEFT);
        assert!(terminal.end().success());
        assert_eq!(files(), before);
    }

    #[test]
    fn a_run_is_followed_while_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("growing");
        mergan().args(new_run("ra", &run)).assert().success();
        // The log is taken back to the first task, and then grows again.
        let log = fs::read_to_string(run.join("events.jsonl")).unwrap();
        let (learning, _) = log.split_once("\"event\":\"task_end\"").unwrap();
        let (begin, rest) = log.split_at(learning.rfind('\n').unwrap() + 1);
        fs::write(run.join("events.jsonl"), begin).unwrap();
        let mut terminal = Terminal::of(&[&run]);
        terminal.expect("1/3");
        let mut file = File::options().append(true).open(run.join("events.jsonl")).unwrap();
        file.write_all(rest.as_bytes()).unwrap();
        terminal.expect("finished");
        terminal.press("\u{3}");
        assert!(terminal.end().success());
    }

    #[test]
    fn a_signal_restores_the_terminal_and_a_closed_terminal_is_an_end() {
        let mut terminal = Terminal::of(&[finished_run(), finished_run(), finished_run()]);
        terminal.expect("1 to 2 of 3");
        terminal.press("\u{1b}[C");
        terminal.expect("2 to 3 of 3");
        kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap();
        terminal.expect(LEFT);
        assert_eq!(terminal.end().code(), Some(143));

        let mut terminal = Terminal::of(&[finished_run()]);
        terminal.expect("q quits");
        terminal.ours = None;
        assert!(terminal.end().success());
    }
}

#[test]
fn a_report_is_kept_up_to_date_until_its_runs_are_finished() {
    use std::fs;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use crate::new_run;

    let folder = tempfile::tempdir().unwrap();
    let (run, page) = (folder.path().join("ra"), folder.path().join("report.html"));
    mergan().args(new_run("ra", &run)).assert().success();
    // Two of the three tasks are hidden, and appear while the report is watched.
    let hide = |task: &str, from: &str, to: &str| {
        let scores = run.join("tasks").join(task);
        fs::rename(scores.join(from), scores.join(to)).unwrap();
    };
    ["02", "03"].iter().for_each(|task| hide(task, "scores.json", "scores.hidden"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergan"));
    command.arg("report").arg(&run).args(["--watch", "--out"]).arg(&page).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while !page.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "there is no page");
        std::thread::sleep(Duration::from_millis(20));
    }
    let first = fs::read_to_string(&page).unwrap();
    assert!(first.contains("http-equiv=\"refresh\"") && first.contains("<b>1</b> of <b>3 tasks</b>"), "{first}");
    ["02", "03"].iter().for_each(|task| hide(task, "scores.hidden", "scores.json"));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let last = fs::read_to_string(&page).unwrap();
    assert!(!last.contains("http-equiv=\"refresh\"") && last.contains("<b>3</b> of <b>3 tasks</b>"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 of 3 tasks"), "{output:?}");
}
