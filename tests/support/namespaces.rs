//! Namespaces of a test's own: a thread that takes itself into new ones, and what is said where they cannot be made.

use super::say;

/// Whether whoever runs the tests counts on namespaces: CI does.
fn are_required() -> bool {
    std::env::var("LIMA_TEST_REQUIRE_NETNS").is_ok_and(|value| value == "1")
}

/// A promise that cannot be tried here: one line for whoever runs the tests, an error where it must be tried.
#[track_caller]
pub(crate) fn skip(promise: &str, reason: &str) {
    assert!(!are_required(), "{promise} must be tested here: {reason}");
    say(&format!("skipped: {promise}, because {reason}"));
}

/// Runs `test` on a thread with a network, mounts and a host name of its own, and hands its panic on. Whatever the thread starts is in there too.
#[cfg(target_os = "linux")]
pub(crate) fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let outcome = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            test()
        });
        inside.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
