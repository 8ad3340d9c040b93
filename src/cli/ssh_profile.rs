//! From an instance to the way into it: what `shell`, `copy` and `show-ssh` share.

use crate::config::Config;
use crate::config::name;
use crate::instance::{self, Context, Instance, Status};
use crate::ssh::{self, Client, Profile};

/// The instance of that name, or a message that says how to get one.
pub fn find(context: &Context, name: &str) -> Result<Instance, anyhow::Error> {
    name::check_instance(name)?;
    if !context.home.instance(name).lima_yaml().exists() {
        anyhow::bail!(
            "instance `{name}` does not exist, run `limactl create {name}` to create a new instance"
        );
    }
    Ok(instance::inspect(context, name)?)
}

/// The configuration of an instance; one whose file cannot be understood has none.
pub fn config(found: &Instance) -> Result<&Config, anyhow::Error> {
    found.config.as_ref().ok_or_else(|| {
        let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        let name = &found.name;
        match problems.is_empty() {
            true => anyhow::anyhow!("instance `{name}` has no configuration"),
            false => anyhow::anyhow!("instance `{name}` has no configuration: {}", problems.join("\n")),
        }
    })
}

/// The ssh program of this host.
pub fn client(context: &Context) -> Result<Client, ssh::Error> {
    Client::find(context.host.env("SSH"))
}

/// A guest that is down cannot be entered.
pub fn refuse_stopped(found: &Instance) -> Result<(), anyhow::Error> {
    let name = &found.name;
    if found.status == Status::Stopped {
        anyhow::bail!("instance `{name}` is stopped, run `limactl start {name}` to start the instance");
    }
    Ok(())
}

/// The ssh options that enter an instance.
pub fn options(context: &Context, found: &Instance, client: &Client) -> Result<Vec<String>, anyhow::Error> {
    Ok(profile(context, found, client)?.options()?)
}

/// The ssh options of one command that enters several instances, or none: they share no connection, and the user is named beside each.
pub fn options_of_several<'a>(
    context: &Context,
    mut guests: impl Iterator<Item = &'a Instance>,
    client: &Client,
) -> Result<Vec<String>, anyhow::Error> {
    match guests.next() {
        Some(guest) => Ok(profile(context, guest, client)?.common_options()),
        None => Ok(Vec::new()),
    }
}

fn profile(context: &Context, found: &Instance, client: &Client) -> Result<Profile, anyhow::Error> {
    let config = config(found)?;
    let dot_ssh = context.host.home.as_ref().map(|home| home.join(".ssh"));
    let extra_identities = match dot_ssh {
        Some(dot_ssh) if config.ssh.load_dot_ssh_pub_keys => ssh::dot_ssh_identities(&dot_ssh),
        _ => Vec::new(),
    };
    Ok(Profile {
        identity: context.home.identity(),
        extra_identities,
        user: config.user.name.clone(),
        control_path: context.home.instance(&found.name).ssh_socket(),
        forward_agent: config.ssh.forward_agent,
        forward_x11: config.ssh.forward_x11,
        forward_x11_trusted: config.ssh.forward_x11_trusted,
        client: client.facts(),
        has_aes: ssh::host_has_aes(),
    })
}
