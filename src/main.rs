//! See [`image_action::cli`].

use image_action::cli::{self, Start};
use image_action_engine::Env;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A process of a local machine is this program started again; it must still have one thread then.
    if let Some(code) = image_action_localcloud::guest::reexec_main() {
        return code;
    }
    // Every client takes its TLS from here; it fails only where one was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let start = Start {
        arguments: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        env: Env::of_process(),
        cwd: std::env::current_dir().unwrap_or_default(),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(start)).into(),
        Err(_) => ExitCode::FAILURE,
    }
}
