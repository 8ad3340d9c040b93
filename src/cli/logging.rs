//! What limactl says on standard error: logrus text, its coloured form on a terminal, or JSON lines.
//!
//! Rooms speak through `tracing`; [`Logger::install`] turns their events into [`Record`]s. Events of libraries are dropped. A record is one `write`,
//! so lines of two processes never mix.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::go_text;
use crate::instance::LogLine;
use crate::sys::local_time;

/// How grave a line is, by logrus's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Panic,
    Fatal,
    Error,
    Warning,
    Info,
    Debug,
    Trace,
}

impl Level {
    const ALL: [Level; 7] =
        [Level::Panic, Level::Fatal, Level::Error, Level::Warning, Level::Info, Level::Debug, Level::Trace];

    pub fn name(self) -> &'static str {
        match self {
            Level::Panic => "panic",
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// Reads a name in any case; `warn` is `warning`.
    pub fn from_name(name: &str) -> Option<Level> {
        let name = name.to_ascii_lowercase();
        Level::ALL
            .into_iter()
            .find(|level| level.name() == name || (*level == Level::Warning && name == "warn"))
    }

    fn color(self) -> &'static str {
        match self {
            Level::Panic | Level::Fatal | Level::Error => "\x1b[31m",
            Level::Warning => "\x1b[33m",
            Level::Info => "\x1b[36m",
            Level::Debug => "\x1b[2;36m",
            Level::Trace => "\x1b[2;37m",
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Level {
        match *level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// RFC 3339; `None` means now.
    pub time: Option<String>,
    pub level: Level,
    pub message: String,
    pub fields: BTreeMap<String, String>,
}

impl Record {
    pub fn new(level: Level, message: impl Into<String>) -> Record {
        Record { time: None, level, message: message.into(), fields: BTreeMap::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=info msg="…"`.
    Text,
    /// `INFO[0000] …` in colour, seconds since the program began.
    Terminal,
    /// One JSON object, keys in alphabetical order.
    Json,
}

/// How lines look and which are shown.
#[derive(Debug, Clone, Copy)]
pub struct Logger {
    pub format: Format,
    /// The least grave level that is shown.
    pub level: Level,
    started: Instant,
}

impl Logger {
    /// Text at level info, in the terminal's form if standard error is one.
    pub fn new(started: Instant) -> Logger {
        let format = if std::io::stderr().is_terminal() { Format::Terminal } else { Format::Text };
        Logger { format, level: Level::Info, started }
    }

    /// Prints a record unless it is below the level.
    pub fn emit(&self, record: &Record) {
        if record.level > self.level {
            return;
        }
        let line = match self.format {
            Format::Text => text_line(record),
            Format::Terminal => terminal_line(record, self.started.elapsed().as_secs()),
            Format::Json => json_line(record),
        };
        // Nobody is left to tell when standard error is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// Prints the line with which the program gives up.
    pub fn fatal(&self, message: &str) {
        self.emit(&Record::new(Level::Fatal, message));
    }

    /// From here on, what the rooms say through `tracing` is printed. To be called once.
    pub fn install(self) {
        let subscriber = tracing_subscriber::registry().with(self);
        // It fails only if a subscriber is installed already, which then stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// Prints a record through the installed logger; nothing happens before one is installed.
pub fn emit(record: &Record) {
    if let Some(logger) = installed() {
        logger.emit(record);
    }
}

/// The logger that was installed, if one was.
pub fn installed() -> Option<Logger> {
    tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<Logger>().copied())
}

/// Repeats a line of the host agent's log: its time, level and fields are kept. A level that nobody knows is `info`.
pub fn relay(line: &LogLine) {
    emit(&Record {
        time: line.time.clone(),
        level: Level::from_name(&line.level).unwrap_or(Level::Info),
        message: format!("[hostagent] {}", line.message),
        fields: line.fields.clone(),
    });
}

impl<S: tracing::Subscriber> Layer<S> for Logger {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("limactl") && Level::from(metadata.level()) <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            Level::Panic | Level::Fatal => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warning => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut record = Record::new(Level::from(event.metadata().level()), "");
        event.record(&mut Collector(&mut record));
        self.emit(&record);
    }
}

/// Fills a record from the fields of an event.
struct Collector<'a>(&'a mut Record);

impl Collector<'_> {
    fn set(&mut self, name: &str, value: String) {
        match name {
            "message" => self.0.message = value,
            _ => {
                self.0.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Collector<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field.name(), crate::process::words::chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}

/// `time="…" level=… msg=… key=…`, keys in byte order.
fn text_line(record: &Record) -> String {
    let mut line = format!("time={} level={}", value_text(&time_of(record)), record.level.name());
    if !record.message.is_empty() {
        line.push_str(&format!(" msg={}", value_text(&record.message)));
    }
    for (key, value) in &record.fields {
        line.push_str(&format!(" {}={}", field_key(key), value_text(value)));
    }
    line.push('\n');
    line
}

fn terminal_line(record: &Record, seconds: u64) -> String {
    let color = record.level.color();
    let name: String = record.level.name().to_ascii_uppercase().chars().take(4).collect();
    let message = record.message.strip_suffix('\n').unwrap_or(&record.message);
    let mut line = format!("{color}{name}\x1b[0m[{seconds:04}] {message:<44} ");
    for (key, value) in &record.fields {
        line.push_str(&format!(" {color}{}\x1b[0m={}", field_key(key), value_text(value)));
    }
    line.push('\n');
    line
}

fn json_line(record: &Record) -> String {
    let mut members: BTreeMap<&str, &str> = BTreeMap::new();
    let keys: Vec<(String, &String)> =
        record.fields.iter().map(|(key, value)| (field_key(key), value)).collect();
    for (key, value) in &keys {
        members.insert(key, value);
    }
    let time = time_of(record);
    members.extend([("level", record.level.name()), ("msg", &record.message), ("time", &time)]);
    // A map of texts always has a JSON form.
    let mut line = serde_json::to_string(&members).unwrap_or_default();
    line.push('\n');
    line
}

/// A field must not take the place of what every line has.
fn field_key(key: &str) -> String {
    match key {
        "time" | "level" | "msg" => format!("fields.{key}"),
        _ => key.to_owned(),
    }
}

/// Bare if nothing in it could be misread, else in Go's quotes.
fn value_text(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { go_text::quote(value) }
}

fn time_of(record: &Record) -> String {
    record.time.clone().unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| since.as_secs());
        go_text::rfc3339(seconds, local_time::utc_offset(seconds as i64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(level: Level, message: &str, fields: &[(&str, &str)]) -> Record {
        Record {
            time: Some("2026-11-25T03:30:06Z".to_owned()),
            level,
            message: message.to_owned(),
            fields: fields.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        }
    }

    #[test]
    fn text_is_logrus_text() {
        let plain = record(
            Level::Info,
            "Downloaded",
            &[("location", "/a/b.img"), ("digest", ""), ("arch", "x86_64"), ("error", "a b")],
        );
        assert_eq!(
            text_line(&plain),
            "time=\"2026-11-25T03:30:06Z\" level=info msg=Downloaded arch=x86_64 digest= error=\"a b\" location=/a/b.img\n"
        );
        let quoted = record(Level::Warning, "instance `a`\n\"b\"", &[]);
        assert_eq!(
            text_line(&quoted),
            "time=\"2026-11-25T03:30:06Z\" level=warning msg=\"instance `a`\\n\\\"b\\\"\"\n"
        );
    }

    #[test]
    fn a_terminal_gets_short_names_padding_and_seconds() {
        let line = terminal_line(&record(Level::Warning, "hint", &[("k", "v w")]), 7);
        assert_eq!(line, format!("\x1b[33mWARN\x1b[0m[0007] {:<44}  \x1b[33mk\x1b[0m=\"v w\"\n", "hint"));
    }

    #[test]
    fn json_lines_have_their_keys_in_order() {
        let line = json_line(&record(Level::Debug, "a<b", &[("error", "e"), ("level", "fatal")]));
        assert_eq!(
            line,
            "{\"error\":\"e\",\"fields.level\":\"fatal\",\"level\":\"debug\",\"msg\":\"a<b\",\"time\":\"2026-11-25T03:30:06Z\"}\n"
        );
    }

    #[test]
    fn events_become_records_with_their_fields() {
        use std::sync::{Arc, Mutex};
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<Record>>>);
        impl<S: tracing::Subscriber> Layer<S> for Sink {
            fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
                let mut record = Record::new(Level::from(event.metadata().level()), "");
                event.record(&mut Collector(&mut record));
                self.0.lock().unwrap().push(record);
            }
        }
        let sink = Sink::default();
        let subscriber = tracing_subscriber::registry().with(sink.clone());
        tracing::subscriber::with_default(subscriber, || {
            let (a, count) = ("x y", 3);
            tracing::warn!(a, count, error = %"e", "hello {}", 1);
        });
        let records = sink.0.lock().unwrap().clone();
        assert_eq!(records.len(), 1);
        let fields: Vec<_> = records[0].fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(fields, ["a=x y", "count=3", "error=e"]);
        assert_eq!(records[0].message, "hello 1");
    }

    #[test]
    fn levels_are_read_in_any_case() {
        assert_eq!(Level::from_name("WARN"), Some(Level::Warning));
        assert_eq!(Level::from_name("Trace"), Some(Level::Trace));
        assert_eq!(Level::from_name("loud"), None);
    }
}
