//! What every command starts with: the global flags made definite, and the context that stories want.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context as _;
use thiserror::Error;

use super::host;
use super::logging::{self, Format, Level, Logger};
use super::progress;
use super::tree::Global;
use crate::home::Home;
use crate::instance::Context;

#[derive(Debug, Error)]
pub enum Error {
    #[error("not a valid logrus Level: \"{0}\"")]
    Level(String),
    #[error("unsupported log-format: `{0}`")]
    Format(String),
    #[error("cannot use both --tty and --yes flags at the same time")]
    TtyAndYes,
}

/// The program as one command sees it.
pub struct App {
    pub logger: Logger,
    /// `--debug`: the guest's boot scripts trace what they do.
    pub debug: bool,
    /// Whether questions may be asked.
    pub tty: bool,
    /// `--yes` was given.
    pub yes: bool,
    /// `--tty=true` was given, as opposed to concluded.
    pub tty_demanded: bool,
}

impl App {
    /// Checks the global flags. The log of the agent (`is_agent`) is JSON, and one step more verbose.
    pub fn new(global: &Global, is_agent: bool, logger: Logger) -> Result<App, Error> {
        if global.yes && global.tty.is_some() {
            return Err(Error::TtyAndYes);
        }
        let tty = global.tty.unwrap_or_else(|| std::io::stdout().is_terminal()) && !global.yes;
        Ok(App {
            logger: adjust(logger, global, is_agent)?,
            debug: global.debug,
            tty,
            yes: global.yes,
            tty_demanded: global.tty == Some(true),
        })
    }

    /// Without any flag.
    pub fn with_defaults(logger: Logger) -> App {
        App { logger, debug: false, tty: std::io::stdout().is_terminal(), tty_demanded: false, yes: false }
    }

    /// Collects what the machine says and finds `LIMA_HOME`.
    pub fn context(&self) -> Result<Context, anyhow::Error> {
        let host = host::collect()?;
        let home = Home::new(&host.lima_home);
        if is_on_nfs(home.root()) {
            tracing::warn!("LIMA_HOME should not be on an NFS mount");
        }
        Ok(Context {
            home,
            host,
            executable: own_path().context("cannot tell the path of limactl itself")?,
            debug: self.logger.level >= Level::Debug,
            relay: Box::new(logging::relay),
            progress: progress::shown(self.logger.format),
        })
    }

    /// Whether standard output is shown to a person. The variable is what scripts force the colours with.
    pub fn output_is_terminal(context: &Context) -> bool {
        context.host.env("_LIMA_OUTPUT_IS_TTY").is_some() || std::io::stdout().is_terminal()
    }
}

/// Links resolved: by another name this program would be a wrapper, and no host agent.
fn own_path() -> std::io::Result<std::path::PathBuf> {
    let path = std::env::current_exe()?;
    Ok(path.canonicalize().unwrap_or(path))
}

fn adjust(mut logger: Logger, global: &Global, is_agent: bool) -> Result<Logger, Error> {
    if global.debug {
        logger.level = Level::Debug;
    }
    if let Some(name) = global.log_level.as_deref().filter(|name| !name.is_empty()) {
        logger.level = Level::from_name(name).ok_or_else(|| Error::Level(name.to_owned()))?;
    }
    match global.log_format.as_str() {
        "json" => logger.format = Format::Json,
        "text" => {}
        other => return Err(Error::Format(other.to_owned())),
    }
    if is_agent {
        logger.format = Format::Json;
        logger.level = if global.debug { Level::Trace } else { Level::Debug };
    }
    Ok(logger)
}

/// Whether a path, or its nearest ancestor that exists, is on a network file system, where locks and sockets cannot be relied on.
#[cfg(target_os = "linux")]
fn is_on_nfs(path: &Path) -> bool {
    use nix::sys::statfs::{NFS_SUPER_MAGIC, statfs};
    path.ancestors()
        .find_map(|ancestor| statfs(ancestor).ok())
        .is_some_and(|fs| fs.filesystem_type() == NFS_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_on_nfs(path: &Path) -> bool {
    path.ancestors()
        .find_map(|ancestor| nix::sys::statfs::statfs(ancestor).ok())
        .is_some_and(|fs| fs.filesystem_type_name() == "nfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global() -> Global {
        Global {
            debug: false,
            help: false,
            log_format: "text".into(),
            log_level: None,
            tty: None,
            yes: false,
        }
    }

    fn app(global: Global) -> Result<App, String> {
        let logger = Logger::new(std::time::Instant::now());
        App::new(&global, false, logger).map_err(|error| error.to_string())
    }

    #[test]
    fn the_level_flag_wins_over_debug() {
        let app = app(Global { debug: true, log_level: Some("error".into()), ..global() })
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((app.logger.level, app.debug), (Level::Error, true));
    }

    #[test]
    fn contradictions_and_unknown_words_are_refused() {
        let error = |global| app(global).err().unwrap_or_default();
        assert_eq!(
            error(Global { yes: true, tty: Some(false), ..global() }),
            "cannot use both --tty and --yes flags at the same time"
        );
        assert_eq!(
            error(Global { log_level: Some("loud".into()), ..global() }),
            "not a valid logrus Level: \"loud\""
        );
        assert_eq!(error(Global { log_format: "xml".into(), ..global() }), "unsupported log-format: `xml`");
    }

    #[test]
    fn yes_means_no_questions() {
        let app = app(Global { yes: true, ..global() }).unwrap_or_else(|error| panic!("{error}"));
        assert!(!app.tty);
    }
}
