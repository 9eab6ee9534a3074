//! `breakpoint`: waits for a person at the terminal.

use async_trait::async_trait;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Error, ErrorKind, Facts, PrepareContext, Provisioner,
    Result,
};
use image_action_lang::Diagnostics;
use std::io::BufRead;

/// Pauses until a person at the terminal presses enter.
#[derive(Clone, Debug, Config)]
pub struct BreakpointConfig {
    /// What is shown to the person. Left out: nothing but where the build stands.
    note: String,
    /// Goes on without a pause, so that the block can stay in the template.
    disable: bool,
}

/// Makes it.
///
/// # Errors
/// None.
pub fn make(_cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    Ok(Box::new(Breakpoint(BreakpointConfig::decode(body))))
}

struct Breakpoint(BreakpointConfig);

#[async_trait]
impl Provisioner for Breakpoint {
    async fn provision(
        &self,
        cx: &BuildContext,
        _communicator: &dyn Communicator,
        _facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let note = if self.0.note.is_empty() { String::new() } else { format!(" ({})", self.0.note) };
        if self.0.disable {
            cx.say(format!("The breakpoint is disabled{note}"));
            return Ok(());
        }
        let terminal = std::fs::File::open("/dev/tty").map_err(|_| {
            Error::new(ErrorKind::Invalid, format!("a breakpoint waits for a person, and there is no terminal{note}"))
                .hint("set disable = true for runs without a person")
        })?;
        cx.say(format!("Breakpoint{note}: press enter to go on"));
        // A thread of its own: a read of the terminal cannot be interrupted, and must not hold the end of the program up.
        let (pressed, wait) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = std::io::BufReader::new(terminal).read_line(&mut line);
            let _ = pressed.send(());
        });
        tokio::select! {
            () = cancel.cancelled() => Err(Error::cancelled()),
            _ = wait => Ok(()),
        }
    }
}
