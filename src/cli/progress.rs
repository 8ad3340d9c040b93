//! How a download is shown: a bar on a terminal, one line elsewhere, a record among JSON lines.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::logging::{self, Format, Level, Record};
use crate::instance::Progress;

/// Upstream's: counters, bar, percent, speed; five times a second, 80 columns.
const KNOWN: &str = "{bytes} / {total_bytes} [{bar:24}] {percent}% {bytes_per_sec} {eta}";
/// A server need not say how much there is.
const UNKNOWN: &str = "{bytes} {spinner} {bytes_per_sec}";
const HERTZ: u8 = 5;

/// What shows progress in the given form.
pub fn shown(format: Format) -> Box<dyn Fn(Progress) + Send + Sync> {
    // Contexts are shared by threads that look at instances; a download has one thread.
    let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
    Box::new(move |progress| match progress {
        Progress::Begin { title } => announce(format, &title),
        Progress::At { received, total } if format == Format::Terminal => {
            let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
            let bar = bar.get_or_insert_with(|| new_bar(received.0, total.map(|total| total.0)));
            bar.set_position(received.0);
        }
        Progress::At { .. } => {}
        Progress::End => {
            // Cleared, so that the next line begins where the bar did.
            if let Some(bar) = bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
                bar.finish_and_clear();
            }
        }
    })
}

/// The line is not a log record in the real program either.
fn announce(format: Format, title: &str) {
    match format {
        Format::Json => logging::emit(&Record::new(Level::Info, title)),
        Format::Text | Format::Terminal => eprintln!("{title}"),
    }
}

/// A bar that counts its speed from `received` bytes, with which a continued download begins.
fn new_bar(received: u64, total: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(HERTZ);
    let bar = ProgressBar::with_draw_target(total, target);
    let template = if total.is_some() { KNOWN } else { UNKNOWN };
    // The templates are known to be right: the style without them would be shown, and no worse.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_position(received);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(HERTZ)));
    bar
}
