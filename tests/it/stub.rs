//! A server of these tests: answers by itself, or hands on to another one, and remembers what it was asked.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request: its first line and headers, and its body.
#[derive(Clone, Debug)]
pub struct Asked {
    pub head: String,
    pub body: String,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
    }
}

/// What a stub answers: a JSON document; a whole answer, from its `HTTP/1.1` on; or nothing, which hands the request on.
type Answer = dyn Fn(&Asked) -> Option<String> + Send + Sync;

pub struct Stub {
    pub url: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Answers what `answer` answers; everything else is asked of `upstream` (`http://host:port`).
    pub fn start(upstream: &str, answer: impl Fn(&Asked) -> Option<String> + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer): (_, Arc<Answer>) = (seen.clone(), Arc::new(answer));
        let upstream = upstream.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer, upstream) = (log.clone(), answer.clone(), upstream.clone());
                // One request a connection: simple, and enough. A client that has gone away is no fault.
                std::thread::spawn(move || serve(stream, &log, &*answer, &upstream));
            }
        });
        Stub { url, seen }
    }
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, answer: &Answer, upstream: &str) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let length = |head: &str| Asked { head: head.to_owned(), body: String::new() }.header("content-length");
    let mut body = vec![0; length(&head).and_then(|n| n.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let asked = Asked { head: head.clone(), body: String::from_utf8_lossy(&body).into_owned() };
    log.lock().unwrap().push(asked.clone());
    let mut stream = stream;
    if let Some(text) = answer(&asked) {
        if text.starts_with("HTTP/1.1 ") {
            return stream.write_all(text.as_bytes()).ok();
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        return write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len()).ok();
    }
    let mut other = TcpStream::connect(upstream).ok()?;
    // The headers as they are, host included: signatures cover it.
    let lines = head.trim_end().lines().filter(|l| !l.to_lowercase().starts_with("connection:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    other.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    other.write_all(&body).ok()?;
    let mut all = Vec::new();
    other.read_to_end(&mut all).ok()?;
    stream.write_all(&all).ok()
}
