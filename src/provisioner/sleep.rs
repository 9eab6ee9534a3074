//! `sleep`: a pause.

use async_trait::async_trait;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Facts, PrepareContext, Provisioner, Result, duration,
    wait,
};
use image_action_lang::Diagnostics;
use std::time::Duration;

/// Waits.
#[derive(Clone, Debug, Config)]
pub struct SleepConfig {
    /// How long to wait, such as `30s`. Left out: not at all.
    duration: Duration,
}

/// Makes it.
///
/// # Errors
/// None.
pub fn make(_cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    Ok(Box::new(Sleep(SleepConfig::decode(body))))
}

struct Sleep(SleepConfig);

#[async_trait]
impl Provisioner for Sleep {
    async fn provision(
        &self,
        cx: &BuildContext,
        _communicator: &dyn Communicator,
        _facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        cx.say(format!("Sleeping {}", duration::show(self.0.duration)));
        wait::pause(self.0.duration, cancel).await
    }
}
