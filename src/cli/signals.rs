//! SIGINT and SIGTERM: the first one stops the run and has it clean up; the second one ends the program at once.

use crate::cli::exit::Exit;
use image_action_engine::event::Event;
use image_action_engine::run::RunContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whether the run was stopped from outside.
#[derive(Clone, Default)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Whether it was.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminated",
    }
}

/// Watches for signals until the program ends.
///
/// # Errors
/// Where the operating system does not let it.
pub fn watch(run: Arc<RunContext>) -> std::io::Result<Interrupted> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = Interrupted::default();
    let flag = interrupted.clone();
    tokio::spawn(async move {
        let what = next(&mut interrupt, &mut terminate).await;
        flag.0.store(true, Ordering::Relaxed);
        run.events.send(Event::Notice {
            text: format!(
                "Cancelling build after receiving {what}; a second signal ends the program without cleaning up"
            ),
        });
        run.cancel.cancel();
        next(&mut interrupt, &mut terminate).await;
        // Whoever sends a second signal does not want to wait. The ledger has what is left.
        #[allow(clippy::exit, reason = "the one place that ends the program from the inside")]
        std::process::exit(Exit::Failed as i32);
    });
    Ok(interrupted)
}

/// Waits for the first signal.
///
/// # Errors
/// Where the operating system does not let it.
pub async fn stopped() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    next(&mut interrupt, &mut terminate).await;
    Ok(())
}
