//! Follows the guest's console in `serial.log` while the guest boots.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use crate::guest::console::{Console, Stage};

/// How often the log is looked at. Only while booting; a ready guest is not watched.
const INTERVAL: Duration = Duration::from_millis(250);
const CHUNK: usize = 16 * 1024;

/// Reads what is appended to `log`, hands the console to `seen` after each piece, and logs each new stage. Ends only with the future.
pub(super) async fn follow(log: &Path, mut seen: impl FnMut(&Console)) {
    let mut console = Console::default();
    let mut told = (Stage::Firmware, None);
    let mut offset = 0;
    loop {
        while let Some(bytes) = read_from(log, offset) {
            offset += bytes.len() as u64;
            console.feed(&bytes);
            seen(&console);
            tell_changes(&console, &mut told);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn tell_changes(console: &Console, told: &mut (Stage, Option<crate::guest::console::Trouble>)) {
    let now = (console.stage(), console.trouble());
    if now.0 != told.0 && now.0 != Stage::Done {
        tracing::info!("Guest: {}", now.0.description());
    }
    if let (Some(trouble), true) = (now.1, now.1 != told.1) {
        tracing::warn!("Guest: {}", trouble.description());
    }
    *told = now;
}

/// The next piece; `None` if there is nothing new yet. The file is opened each time: QEMU makes it anew at each start.
fn read_from(log: &Path, offset: u64) -> Option<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::open(log).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = vec![0; CHUNK];
    let count = file.read(&mut bytes).ok()?;
    bytes.truncate(count);
    (count > 0).then_some(bytes)
}
