//! `limactl show-ssh`: the ssh options of an instance, for other programs. Deprecated in favour of the instance's `ssh.config`.

use clap::Args;

use super::context::App;
use super::{Outcome, print, ssh_profile};
use crate::config::name;
use crate::ssh;

/// Show the ssh command line of an instance (deprecated: use ssh -F with the instance's ssh.config)
#[derive(Debug, Args)]
#[command(override_usage = "limactl show-ssh INSTANCE [flags]")]
pub struct ShowSshArgs {
    #[arg(value_name = "INSTANCE")]
    pub name: String,
    /// cmd, args, options or config
    #[arg(long, short, default_value = "cmd")]
    pub format: String,
}

pub fn run(args: ShowSshArgs, app: &App) -> Outcome {
    let context = app.context()?;
    let found = ssh_profile::find(&context, &args.name)?;
    let host = name::hostname(&args.name);
    let ssh_config = context.home.instance(&args.name).ssh_config();
    tracing::warn!(
        "`limactl show-ssh` is deprecated. Instead, use `ssh -F {} {host}`.",
        ssh_config.display()
    );
    let client = ssh_profile::client(&context)?;
    let options = ssh_profile::options(&context, &found, &client)?;
    print(&render(&args.format, &host, options, &found.ssh_address, found.ssh_local_port)?)
}

fn render(
    format: &str,
    host: &str,
    mut options: Vec<String>,
    address: &str,
    port: u16,
) -> Result<String, anyhow::Error> {
    if format == "config" {
        return Ok(ssh::ssh_config(host, &options, address, port)?);
    }
    options.push(format!("Hostname={address}"));
    options.push(format!("Port={port}"));
    let words = || options.iter().flat_map(|option| ["-o".to_owned(), ssh::quote(option)]);
    Ok(match format {
        "cmd" => {
            let words: Vec<String> = words().collect();
            format!("ssh {} {host}\n", words.join(" "))
        }
        "args" => format!("{}\n", words().collect::<Vec<_>>().join(" ")),
        "options" => format!("{}\n", options.join("\n")),
        _ => anyhow::bail!("unknown format: `{format}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &str) -> String {
        let options = vec!["IdentityFile=\"/l h/user\"".to_owned(), "User=u".to_owned()];
        render(format, "lima-d", options, "127.0.0.1", 2200).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn every_format_is_upstreams() {
        assert_eq!(
            shown("cmd"),
            "ssh -o 'IdentityFile=\"/l h/user\"' -o User=u -o Hostname=127.0.0.1 -o Port=2200 lima-d\n"
        );
        assert_eq!(
            shown("args"),
            "-o 'IdentityFile=\"/l h/user\"' -o User=u -o Hostname=127.0.0.1 -o Port=2200\n"
        );
        assert_eq!(shown("options"), "IdentityFile=\"/l h/user\"\nUser=u\nHostname=127.0.0.1\nPort=2200\n");
        assert_eq!(
            shown("config"),
            "Host lima-d\n  IdentityFile \"/l h/user\"\n  User u\n  Hostname 127.0.0.1\n  Port 2200\n"
        );
        assert_eq!(shown("x"), "unknown format: `x`");
    }
}
