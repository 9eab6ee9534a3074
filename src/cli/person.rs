//! Whoever sits at the terminal, under `-on-error=ask`.

use image_action_engine::ask::Person;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

/// The terminal that the program was started from: it can be asked even where the output goes to a file.
pub struct Terminal(File);

impl Terminal {
    /// Opens it; nothing where there is none, as in a workflow.
    pub fn open() -> Option<Terminal> {
        File::options().read(true).write(true).open("/dev/tty").ok().map(Terminal)
    }
}

#[async_trait::async_trait]
impl Person for Terminal {
    async fn ask(&self, question: &str) -> Option<String> {
        let mut terminal = self.0.try_clone().ok()?;
        write!(terminal, "{question} ").and_then(|()| terminal.flush()).ok()?;
        // A thread of its own: a read of the terminal cannot be interrupted, and must not hold the end of the program up.
        let (answered, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(terminal).read_line(&mut line);
            // Whoever asked may have been cancelled meanwhile.
            let _ = answered.send(read.ok().filter(|n| *n > 0).map(|_| line));
        });
        answer.await.ok().flatten()
    }
}
