//! Provisions of mode `ansible`: playbooks that run on the host against the guest, once it is ready.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::{Context, Error};
use crate::config::resolved::ProvisionMode;
use crate::config::{Config, name};
use crate::document::{self, Node};
use crate::home::{self, InstanceDir};
use crate::process;

const PROGRAM: &str = "ansible-playbook";

/// The playbooks, in order.
fn playbooks(config: &Config) -> impl Iterator<Item = &str> {
    config.provision.iter().filter_map(|provision| match &provision.mode {
        ProvisionMode::Ansible { playbook } => Some(playbook.as_str()),
        _ => None,
    })
}

/// Fails where playbooks are wanted and the program is not there: before anything is started, not after minutes.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    match playbooks(config).next() {
        Some(_) => process::find(PROGRAM).map(drop).map_err(Error::NoAnsible),
        None => Ok(()),
    }
}

/// Runs the playbooks with this process's own streams and environment, and `PARAM_*` for the parameters. Relative names are relative to where the
/// command was started.
pub(super) fn run_playbooks(
    context: &Context,
    dir: &InstanceDir,
    instance: &str,
    config: &Config,
) -> Result<(), Error> {
    for playbook in playbooks(config) {
        let program = process::find(PROGRAM).map_err(Error::NoAnsible)?;
        let inventory = dir.ansible_inventory();
        home::write_atomic(&inventory, inventory_text(dir, instance).as_bytes(), 0o644)?;
        tracing::info!("Running the playbook `{playbook}` against the instance `{instance}`");
        let mut command = Command::new(program);
        command.arg("-i").arg(&inventory).arg(playbook).current_dir(&context.host.cwd);
        command.envs(config.param.iter().map(|(key, value)| (format!("PARAM_{key}"), value)));
        let status = process::run_attached(&mut command)?;
        if !status.success() {
            // A signal has no code; upstream's way of telling it.
            let code = status.code().filter(|_| status.signal().is_none()).unwrap_or(255);
            return Err(Error::Playbook { playbook: playbook.to_owned(), code, status: status.to_string() });
        }
    }
    Ok(())
}

/// One host in one group, reached by the instance's `ssh.config`.
fn inventory_text(dir: &InstanceDir, instance: &str) -> String {
    let text = |text: &str| Node::text(text);
    let config = dir.ssh_config().display().to_string();
    // Ansible splits this text as a shell does.
    let config = shlex::try_quote(&config).map(|word| word.into_owned()).unwrap_or(config);
    let variables = Node::mapping(vec![
        (text("ansible_connection"), text("ssh")),
        (text("ansible_host"), text(&name::hostname(instance))),
        (text("ansible_ssh_common_args"), text(&format!("-F {config}"))),
    ]);
    let hosts = Node::mapping(vec![(text(instance), variables)]);
    let group = Node::mapping(vec![(text("hosts"), hosts)]);
    document::print(&Node::mapping(vec![(text("lima"), group)]))
}
