//! A local web server that can be told to misbehave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A client's request: the last part of the path, and the first byte if it requested a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub file: String,
    pub range: Option<usize>,
}

/// The server's answer to a request.
pub enum Answer {
    /// Sends the file, or the range asked for; the connection closes after `cut` bytes of it.
    File { bytes: Vec<u8>, cut: usize },
    /// Sends the whole file whatever range is asked for; the connection closes after `cut` bytes.
    Whole { bytes: Vec<u8>, cut: usize },
    /// Sends only a status.
    Status(u16),
    /// Redirects to the same path on another server.
    Redirect(String),
    /// Sends a header, and then nothing for longer than anyone waits.
    Stall,
    /// Sends bytes without end and without announcing a length.
    Endless,
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves until the test process ends.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let request = read(&stream);
                    seen.lock().unwrap().push(request.clone());
                    // A client may well hang up in the middle of an answer; some tests provoke exactly that.
                    let _ = write(stream, &request, answer(&request));
                });
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default().into();
    let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let value = line.to_ascii_lowercase().strip_prefix("range: bytes=")?.to_string();
        value.trim_end_matches('-').parse().ok()
    });
    Request { file, range }
}

fn write(mut stream: TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
    let mut send = |status: &str, headers: &str, body: &[u8]| {
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n")?;
        stream.write_all(body)
    };
    match (answer, request.range) {
        (Answer::File { bytes, .. }, Some(start)) if start >= bytes.len() => {
            send("416 Range Not Satisfiable", "Content-Length: 0\r\n", &[])
        }
        (Answer::File { bytes, cut }, Some(start)) => {
            let rest = &bytes[start..];
            let last = bytes.len() - 1;
            let headers =
                format!("Content-Length: {}\r\nContent-Range: bytes {start}-{last}/{}\r\n", rest.len(), bytes.len());
            send("206 Partial Content", &headers, &rest[..cut.min(rest.len())])
        }
        (Answer::File { bytes, cut } | Answer::Whole { bytes, cut }, _) => {
            let headers = format!("Content-Length: {}\r\n", bytes.len());
            send("200 OK", &headers, &bytes[..cut.min(bytes.len())])
        }
        (Answer::Status(status), _) => send(&format!("{status} No"), "Content-Length: 0\r\n", &[]),
        (Answer::Redirect(base), _) => {
            let headers = format!("Location: {base}/{}\r\nContent-Length: 0\r\n", request.file);
            send("302 Found", &headers, &[])
        }
        (Answer::Stall, _) => {
            send("200 OK", "Content-Length: 1000\r\n", &[])?;
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        (Answer::Endless, _) => {
            send("200 OK", "", &[])?;
            loop {
                stream.write_all(&[7; 4096])?;
            }
        }
    }
}
