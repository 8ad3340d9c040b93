//! Snapshots: of a running VM with its memory through its monitor, of a stopped one in its disk's file.
//!
//! QEMU tells a failure as text of a command that succeeded, and a failed `loadvm` leaves the VM standing. So what is wanted is looked up
//! before anything is touched, and a VM that ran before runs afterwards.

use std::time::Duration;

use super::create::lock_instance;
use super::inspect::inspect;
use super::record::{Instance, Status};
use super::{Context, Error};
use crate::driver::qmp::{Monitor, QmpError, RunState};
use crate::hostagent::api;
use crate::image::{self, DiskError, Snapshot};

/// Writing the memory of a large guest to a slow disk takes minutes.
const WITHIN: Duration = Duration::from_secs(1800);

const AGENT_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Why a snapshot was not made, applied, deleted or listed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("expected tag")]
    NoTag,
    #[error(
        "snapshot tag `{0}` must consist of letters, digits and `.`, `_`, `-`, and must not begin with `-`"
    )]
    Tag(String),
    #[error("instance `{name}` has no snapshot `{tag}`")]
    Absent { name: String, tag: String },
    #[error("instance `{name}` already has a snapshot `{tag}`")]
    Exists { name: String, tag: String },
    #[error("the disk of instance `{name}` is raw, and only qcow2 can hold snapshots")]
    Raw { name: String },
    #[error("cannot {action} snapshot `{tag}` of instance `{name}`: QEMU says: {words}")]
    Refused { action: &'static str, name: String, tag: String, words: String },
    #[error("cannot read the snapshots of instance `{name}`: QEMU says: {words}")]
    Unreadable { name: String, words: String },
    #[error("cannot work on the snapshots of instance `{name}`")]
    Monitor {
        name: String,
        #[source]
        source: QmpError,
    },
    #[error("cannot work on the snapshots of instance `{name}`")]
    Disk {
        name: String,
        #[source]
        source: DiskError,
    },
    #[error("cannot talk to the monitor of instance `{name}`")]
    Runtime {
        name: String,
        #[source]
        source: std::io::Error,
    },
}

/// What is to be done to one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotChange {
    Create,
    Apply,
    Delete,
}

impl SnapshotChange {
    fn word(self) -> &'static str {
        match self {
            SnapshotChange::Create => "create",
            SnapshotChange::Apply => "apply",
            SnapshotChange::Delete => "delete",
        }
    }

    fn monitor_command(self) -> &'static str {
        match self {
            SnapshotChange::Create => "savevm",
            SnapshotChange::Apply => "loadvm",
            SnapshotChange::Delete => "delvm",
        }
    }
}

/// Makes, applies or deletes snapshot `tag` of instance `name`.
pub fn change_snapshot(
    context: &Context,
    name: &str,
    change: SnapshotChange,
    tag: Option<&str>,
) -> Result<(), Error> {
    let instance = inspect(context, name)?;
    let tag = tag.filter(|tag| !tag.is_empty()).ok_or(SnapshotError::NoTag)?;
    check_tag(tag)?;
    let reach = Reach::of(context, &instance)?;
    let table = Table::parse(&reach.list(context)?);
    let row = table.rows.iter().find(|row| row.tag == tag);
    let (name, tag) = (name.to_owned(), tag.to_owned());
    match (change, row) {
        (SnapshotChange::Create, Some(_)) => return Err(SnapshotError::Exists { name, tag }.into()),
        (SnapshotChange::Apply | SnapshotChange::Delete, None) => {
            return Err(SnapshotError::Absent { name, tag }.into());
        }
        _ => {}
    }
    let id = row.map(|row| row.id.clone()).unwrap_or_default();
    reach.change(context, change, &tag, &id)
}

/// The snapshots of instance `name` as QEMU's table, without its first line; empty if there is none. Only their tags if `quiet`.
pub fn list_snapshots(context: &Context, name: &str, quiet: bool) -> Result<String, Error> {
    let instance = inspect(context, name)?;
    let text = Reach::of(context, &instance)?.list(context)?;
    let table = Table::parse(&text);
    if quiet {
        return Ok(table.rows.iter().map(|row| format!("{}\n", row.tag)).collect());
    }
    Ok(table.lines.iter().map(|line| format!("{line}\n")).collect())
}

/// QEMU's monitor splits its line at blanks and knows quotes; and a word that begins with `-` is a flag of `qemu-img`.
fn check_tag(tag: &str) -> Result<(), SnapshotError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if tag.starts_with('-') || !tag.chars().all(good) {
        return Err(SnapshotError::Tag(tag.to_owned()));
    }
    Ok(())
}

/// How the snapshots of an instance are reached.
enum Reach {
    Running { name: String, monitor: Monitor, runtime: tokio::runtime::Runtime },
    Stopped { name: String },
}

impl Reach {
    fn of(context: &Context, instance: &Instance) -> Result<Reach, Error> {
        let name = instance.name.clone();
        match instance.status {
            Status::Unknown => Err(instance.refusal()),
            // A VM without an agent has a monitor all the same.
            _ if instance.driver_pid != 0 => {
                let monitor = Monitor::new(&context.home.instance(&name).qmp_socket(), WITHIN);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime =
                    runtime.map_err(|source| SnapshotError::Runtime { name: name.clone(), source })?;
                Ok(Reach::Running { name, monitor, runtime })
            }
            _ => Ok(Reach::Stopped { name }),
        }
    }

    fn list(&self, context: &Context) -> Result<String, Error> {
        match self {
            Reach::Running { name, .. } => {
                let text = self.human("info snapshots")?;
                if text.starts_with("Error") || text.starts_with("No available block device") {
                    let words = text.trim().to_owned();
                    return Err(SnapshotError::Unreadable { name: name.clone(), words }.into());
                }
                Ok(text)
            }
            Reach::Stopped { name } => {
                let disk = context.home.instance(name).disk();
                let failed = |source| SnapshotError::Disk { name: name.clone(), source };
                if !image::is_qcow2(&disk).map_err(failed)? {
                    return Ok(String::new());
                }
                Ok(image::snapshot(&disk, Snapshot::List, &context.host).map_err(failed)?)
            }
        }
    }

    fn change(&self, context: &Context, change: SnapshotChange, tag: &str, id: &str) -> Result<(), Error> {
        match self {
            Reach::Running { name, monitor, runtime } => {
                let failed = |source| SnapshotError::Monitor { name: name.clone(), source };
                let before = runtime.block_on(monitor.status()).map_err(failed)?;
                let words = self.human(&format!("{} {tag}", change.monitor_command()))?;
                if words.trim().is_empty() {
                    look_at_clock(context, name, change);
                    return Ok(());
                }
                if before == RunState::Running {
                    runtime.block_on(monitor.resume()).map_err(failed)?;
                }
                let (name, tag, words) = (name.clone(), tag.to_owned(), words.trim().to_owned());
                Err(SnapshotError::Refused { action: change.word(), name, tag, words }.into())
            }
            Reach::Stopped { name } => {
                let _lock = lock_instance(context, name)?;
                let disk = context.home.instance(name).disk();
                let failed = |source| SnapshotError::Disk { name: name.clone(), source };
                if !image::is_qcow2(&disk).map_err(failed)? {
                    return Err(SnapshotError::Raw { name: name.clone() }.into());
                }
                let what = match change {
                    SnapshotChange::Create => Snapshot::Create { tag },
                    SnapshotChange::Apply => Snapshot::Apply { id },
                    SnapshotChange::Delete => Snapshot::Delete { tag },
                };
                image::snapshot(&disk, what, &context.host).map_err(failed)?;
                Ok(())
            }
        }
    }

    /// A command of the human monitor of a VM that runs.
    fn human(&self, line: &str) -> Result<String, Error> {
        let Reach::Running { name, monitor, runtime } = self else { return Ok(String::new()) };
        tracing::info!("Sending HMP {line} command");
        let answer = runtime.block_on(monitor.human(line));
        let text = answer.map_err(|source| SnapshotError::Monitor { name: name.clone(), source })?;
        Ok(text.replace('\r', ""))
    }
}

/// The guest stood still while its memory was written, or has the time of the snapshot now. An agent that does not answer keeps no clock.
fn look_at_clock(context: &Context, name: &str, change: SnapshotChange) {
    if change == SnapshotChange::Delete {
        return;
    }
    let socket = context.home.instance(name).agent_socket();
    if let Err(error) = api::look_at_clock(&socket, AGENT_ANSWERS_WITHIN) {
        tracing::debug!("the host agent does not look at the guest's clock: {error}");
    }
}

/// What QEMU prints of the snapshots.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    /// From the line with the column names on.
    lines: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// `--` for one of a running VM.
    id: String,
    tag: String,
}

impl Table {
    /// Headings that stand for no snapshot are left out.
    fn parse(text: &str) -> Table {
        const HEADINGS: [&str; 3] =
            ["Snapshot list:", "List of snapshots present on all disks:", "There is no snapshot available."];
        let lines: Vec<String> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !HEADINGS.contains(&line.trim()))
            .map(str::to_owned)
            .collect();
        let is_table = lines.first().is_some_and(|line| line.split_whitespace().nth(1) == Some("TAG"));
        let rows = lines.iter().skip(1).filter(|_| is_table).filter_map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some(Row { id: words.next()?, tag: words.next()? })
        });
        Table { rows: rows.collect(), lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT";

    fn row(id: &str, tag: &str) -> Row {
        Row { id: id.to_owned(), tag: tag.to_owned() }
    }

    #[test]
    fn both_tables_of_qemu_are_understood() {
        let stopped =
            format!("Snapshot list:\n{HEAD}\n1         one   0 B 2026-11-25 03:14:04 00:00:00.000 0\n");
        let table = Table::parse(&stopped);
        assert_eq!((table.lines.len(), table.rows), (2, vec![row("1", "one")]));
        let running =
            format!("List of snapshots present on all disks:\n{HEAD}\n--        a.b   76 MiB 2026-11-25\n");
        assert_eq!(Table::parse(&running).rows, [row("--", "a.b")]);
    }

    #[test]
    fn no_snapshot_is_an_empty_table() {
        for text in ["", "There is no snapshot available.\n", "Snapshot list:\n"] {
            assert_eq!(Table::parse(text), Table { lines: Vec::new(), rows: Vec::new() }, "{text}");
        }
    }

    #[test]
    fn a_tag_that_a_monitor_could_misread_is_refused() {
        for tag in ["a b", "-f", "a\"b", "a;b", "a\nb", "ü"] {
            assert!(check_tag(tag).is_err(), "{tag}");
        }
        for tag in ["one", "1", "before-2.0_x"] {
            assert!(check_tag(tag).is_ok(), "{tag}");
        }
    }
}
