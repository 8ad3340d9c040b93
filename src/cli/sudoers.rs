//! `limactl sudoers`: what it may be asked is checked; the text itself comes with the managed networks.

use clap::Args;

use super::Outcome;
use super::context::App;

/// Print the sudoers file for managed networks (not in this version)
#[derive(Debug, Args)]
#[command(override_usage = "limactl sudoers [--check [SUDOERSFILE-TO-CHECK]] [flags]")]
pub struct SudoersArgs {
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// Check that the file is up to date
    #[arg(long)]
    pub check: bool,
}

pub fn run(args: &SudoersArgs, _app: &App) -> Outcome {
    if args.file.is_some() && !args.check {
        anyhow::bail!("the file argument can be specified only for --check mode");
    }
    anyhow::bail!("`limactl sudoers` is not in this version yet")
}
