//! What cloud-init prints in the guest, relayed as events for `start --progress`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::emitter::Emitter;
use super::event::{CloudInitProgress, Status};
use super::remote::{Remote, Sharing};
use crate::guest::script;

/// cloud-init that prints nothing more for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Relays lines through the shared connection until cloud-init has finished.
pub(super) async fn relay(remote: &Remote, emitter: Rc<RefCell<Emitter>>) {
    let emit = |progress: CloudInitProgress| {
        let mut emitter = emitter.borrow_mut();
        let status = Status::progress(emitter.port, progress);
        emitter.emit(status);
    };
    emit(CloudInitProgress { active: true, ..CloudInitProgress::default() });
    let (done, finished) = tokio::sync::oneshot::channel();
    let mut done = Some(done);
    let follow = remote.script(Sharing::Shared, script::follow_cloud_init(), |line| {
        if line.trim().is_empty() || done.is_none() {
            return;
        }
        emit(CloudInitProgress { log_line: line.to_owned(), active: true, completed: false });
        if is_end(line) {
            // Nobody listens any more only if the end was reached already.
            let _ = done.take().map(|done| done.send(()));
        }
    });
    let reason = tokio::select! {
        _ = follow => "the connection to the guest ended",
        _ = finished => "cloud-init has finished",
        () = tokio::time::sleep(PATIENCE) => "cloud-init takes very long; see /var/log/cloud-init-output.log in the guest",
    };
    emit(CloudInitProgress { log_line: reason.to_owned(), completed: true, active: false });
}

/// `Cloud-init v. 22.4.2 finished at …`, the last line of a boot.
fn is_end(line: &str) -> bool {
    line.to_ascii_lowercase().contains("cloud-init") && line.contains("finished")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_init_says_when_it_has_finished() {
        assert!(is_end(
            "Cloud-init v. 22.4.2 finished at Wed, 25 Nov 2026 03:14:04 +0000. Datasource DataSourceNoCloud"
        ));
        assert!(!is_end("Cloud-init v. 22.4.2 running 'modules:final' at Wed"));
    }
}
