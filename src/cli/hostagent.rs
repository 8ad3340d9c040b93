//! `limactl hostagent`: the daemon of one running instance. Hidden: `start` runs it.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::context::App;
use crate::hostagent::{self, Reconcile, Request, Uses};
use crate::process::daemon::{
    INHERITED_FDS_VARIABLE, READY_FD_VARIABLE, Readiness, STARTED_IN_VARIABLE, adopt_inherited,
};

/// Run the host agent of an instance
#[derive(Debug, Args)]
#[command(override_usage = "limactl hostagent INSTANCE [flags]")]
pub struct HostagentArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: String,
    /// File that gets the number of the process
    #[arg(long, short, value_name = "PATH")]
    pub pidfile: Option<PathBuf>,
    /// Socket on which the agent answers
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Run the display in this process; only drivers that this version does not have can
    #[arg(long)]
    pub run_gui: bool,
    /// Program for the guest; this version puts nothing into guests
    #[arg(long, value_name = "PATH")]
    pub guestagent: Option<PathBuf>,
    /// Archive for containerd; this version does not install it
    #[arg(long, value_name = "PATH")]
    pub nerdctl_archive: Option<PathBuf>,
    /// Report what cloud-init and provisioning print
    #[arg(long)]
    pub progress: bool,
}

pub fn run(args: HostagentArgs, app: &App) -> Outcome {
    // First of all, so that no file that is opened later gets the descriptor's number.
    let readiness = Readiness::adopt(std::env::var(READY_FD_VARIABLE).ok().as_deref());
    let intents = adopt_inherited(std::env::var(INHERITED_FDS_VARIABLE).ok().as_deref());
    let Some(socket) = args.socket else {
        anyhow::bail!("socket must be specified (limactl version mismatch?)");
    };
    let Some(pidfile) = args.pidfile else {
        anyhow::bail!("pidfile must be specified (limactl version mismatch?)");
    };
    for (flag, given) in [
        ("run-gui", args.run_gui),
        ("guestagent", args.guestagent.is_some()),
        ("nerdctl-archive", args.nerdctl_archive.is_some()),
    ] {
        if given {
            tracing::warn!("flag `--{flag}` has no effect in this version");
        }
    }
    let mut context = app.context()?;
    if let Some(place) =
        std::env::var_os(STARTED_IN_VARIABLE).map(PathBuf::from).filter(|path| path.is_absolute())
    {
        context.host.cwd = place;
    }
    let log = context.home.reconcile_log();
    let reconcile = Reconcile { executable: context.executable, log };
    let request = Request {
        home: context.home,
        host: context.host,
        host_nameservers: super::host_nameservers::collect,
        name: args.name,
        pidfile,
        socket,
        progress: args.progress,
        debug: app.debug,
        events: Box::new(std::io::stdout()),
        uses: Uses::new(intents, reconcile),
        readiness,
    };
    Ok(hostagent::run(request)?)
}
