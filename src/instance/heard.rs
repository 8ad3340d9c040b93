//! What a start has heard of its host agent so far, and what of it the user reads.

use crate::hostagent::event;

/// What has been heard so far.
pub(super) struct Heard {
    /// The end of cloud-init is waited for as well.
    pub(super) wanted: bool,
    pub(super) completed: bool,
    pub(super) running: Option<event::Status>,
    pub(super) port: u16,
}

impl Heard {
    pub(super) fn take(&mut self, step: &event::CloudInitProgress) {
        if !self.wanted {
            return;
        }
        if step.completed {
            self.completed = true;
            tracing::info!("Cloud-init progress monitoring done.");
        } else if step.log_line.is_empty() {
            tracing::info!("Cloud-init provisioning started...");
        } else {
            tracing::info!("[cloud-init] {}", step.log_line);
        }
    }

    pub(super) fn finished(&self) -> Option<event::Status> {
        let running = self.running.as_ref()?;
        (running.degraded || !self.wanted || self.completed).then(|| running.clone())
    }
}
