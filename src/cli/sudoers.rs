//! `limactl sudoers`: the rules with which the daemons of networks are started and stopped, and whether they are in place.

use std::io::ErrorKind;

use clap::Args;

use super::Outcome;
use super::context::App;
use super::print;
use crate::config::managed::ManagedNetworks;
use crate::instance::Context;
use crate::instance::networks::{LIMACTL, install_command};
use crate::netdaemons::validate::{self, ThisMachine};
use crate::netdaemons::{Rules, System, prove_rules, sudoers, wants_no_password};
use crate::process::words;

/// Print the rules for sudo with which managed networks are started
///
/// With them, instances join the networks of the modes shared, host and bridged without a password. The program that the rules are for, and all
/// directories above it, must be root's alone.
#[derive(Debug, Args)]
#[command(override_usage = "limactl sudoers [--check [SUDOERSFILE-TO-CHECK]] [flags]")]
pub struct SudoersArgs {
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// Check that the file is up to date
    #[arg(long)]
    pub check: bool,
}

pub fn run(args: &SudoersArgs, app: &App) -> Outcome {
    if args.file.is_some() && !args.check {
        anyhow::bail!("the file argument can be specified only for --check mode");
    }
    let context = app.context()?;
    let networks = context.home.managed_networks(&context.host)?;
    networks.notes.iter().for_each(|note| tracing::info!("networks.yaml: {note}"));
    for network in &networks.unusable {
        tracing::warn!("network `{}` gets no rules: {}", network.name, network.reason);
    }
    let system = System::collect(context.host.os);
    let install = install_command(&context.executable, &networks, &context.host);
    if let Err(error) = validate::check(&networks, &system, &ThisMachine, Some(install.clone())) {
        tell_installation(&install, &networks, &system);
        return Err(error.into());
    }
    let wanted = sudoers::text(&networks, &system);
    match (args.check, &args.file) {
        (false, _) => print(&wanted),
        (true, Some(file)) => check(file, &wanted, &networks, &system),
        (true, None) if networks.sudoers.is_empty() => {
            anyhow::bail!("no sudoers file defined in `{}`", yaml_path(&context))
        }
        (true, None) => check(&networks.sudoers, &wanted, &networks, &system),
    }
}

fn yaml_path(context: &Context) -> String {
    context.home.networks_yaml().display().to_string()
}

/// The two commands that put program and rules in their places.
fn tell_installation(install: &str, networks: &ManagedNetworks, system: &System) {
    tracing::info!("How the daemon gets to a place that only root can change: {install}");
    if !networks.sudoers.is_empty() {
        let rules = sudoers::install_command(LIMACTL, &networks.sudoers, system.os);
        tracing::info!("How its rules get there afterwards: run `{rules}`");
    }
}

fn check(file: &str, wanted: &str, networks: &ManagedNetworks, system: &System) -> Outcome {
    let hint = format!("(Hint: run `{}`)", sudoers::install_command(LIMACTL, file, system.os));
    let good = || print(&format!("`{file}` is up-to-date (or sudo doesn't require a password)\n"));
    let unread = |error: &std::io::Error| {
        anyhow::anyhow!("can't read `{file}`: open {file}: {} {hint}", words::system_words(error))
    };
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return if wants_no_password() { good() } else { Err(unread(&error)) };
        }
        // Only root may read it; sudo itself says what is in force.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return match prove_rules(networks, system)? {
                Rules::Granted => good(),
                Rules::Missing(commands) => {
                    for command in commands {
                        tracing::error!("sudo wants a password for: {command}");
                    }
                    anyhow::bail!(
                        "sudoers file `{file}` is out of sync and must be regenerated {hint}; only root can read it: `limactl sudoers | sudo diff {file} -` shows the lines that differ"
                    )
                }
            };
        }
        Err(error) => return Err(unread(&error)),
    };
    if text == wanted {
        return good();
    }
    for difference in sudoers::differences(&text, wanted) {
        tracing::error!("{difference}");
    }
    anyhow::bail!("sudoers file `{file}` is out of sync and must be regenerated {hint}")
}
