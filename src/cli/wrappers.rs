//! The wrappers `lima`, `nerdctl.lima`, `docker.lima`, `podman.lima`, `kubectl.lima` and `apptainer.lima`: limactl under another name.
//!
//! Upstream ships six shell scripts beside its program. Here they are links to this one program, which looks at the name it was called by
//! (`ln -s limactl lima`), because one file cannot be of another version than itself, needs no shell, and is installed by copying it. What a
//! user can set is the same: `LIMA_INSTANCE`, `LIMA_SHELL`, `LIMA_WORKDIR`, and `LIMACTL`, which names another limactl to hand the words to.
//!
//! | name | what it runs | instance |
//! |---|---|---|
//! | `lima` | the words as a command in the guest | `default` |
//! | `nerdctl.lima` | nerdctl in the guest, with the host's environment | `default` |
//! | `docker.lima`, `podman.lima` | the host's client at the guest's socket, else the guest's own | `docker`, `podman` |
//! | `kubectl.lima` | the same with the guest's kubeconfig | `k3s`, else `k8s` |
//! | `apptainer.lima` | apptainer in the guest | `apptainer` if it exists, else `default` |

use std::path::Path;
use std::process::Command;

use super::context::App;
use super::logging::Logger;
use crate::instance::{self, Instance, Status};
use crate::process;

const USAGE: &str = "Usage: lima [COMMAND...]

Runs a command in the guest of an instance of Lima; without COMMAND, opens a shell there.
Flags of `limactl shell` may stand in front of COMMAND.

  lima uname -a
  LIMA_INSTANCE=other lima

Flags:
  -h, --help      this text
  -v, --version   the version of limactl

Environment:
  LIMA_INSTANCE   the instance (default: `default`)
  LIMA_SHELL      the shell in the guest (default: what lima.yaml says)
  LIMA_WORKDIR    the directory in the guest (default: the current one, if the guest has it)
  LIMACTL         the limactl to use (default: this one)
";

/// A name that this program answers to besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    Lima,
    Nerdctl,
    Docker,
    Podman,
    Kubectl,
    Apptainer,
}

/// What a call comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Words for limactl.
    Limactl(Vec<String>),
    /// A text for standard output.
    Print(&'static str),
    /// A client of the host with a variable that leads it to the guest.
    Client { program: &'static str, variable: (&'static str, String), args: Vec<String> },
}

impl Wrapper {
    /// By the last part of the path that the program was called with.
    pub fn called(path: &str) -> Option<Wrapper> {
        Some(match Path::new(path).file_name()?.to_str()? {
            "lima" => Wrapper::Lima,
            "nerdctl.lima" => Wrapper::Nerdctl,
            "docker.lima" => Wrapper::Docker,
            "podman.lima" => Wrapper::Podman,
            "kubectl.lima" => Wrapper::Kubectl,
            "apptainer.lima" => Wrapper::Apptainer,
            _ => return None,
        })
    }

    /// Decides, from the words behind the name, the environment and what is known of instances.
    pub fn plan(self, args: Vec<String>, known: &dyn Known) -> Result<Plan, anyhow::Error> {
        let chosen = known.variable("LIMA_INSTANCE");
        let instance = |default: &str| chosen.clone().unwrap_or_else(|| default.to_owned());
        Ok(match self {
            Wrapper::Lima => lima(&instance("default"), args, known),
            Wrapper::Nerdctl => {
                let words = ["shell", "--preserve-env", &instance("default"), "nerdctl"];
                Plan::Limactl(words.map(str::to_owned).into_iter().chain(args).collect())
            }
            Wrapper::Docker => socket_client("docker", "DOCKER_HOST", &instance("docker"), args, known)?,
            Wrapper::Podman => socket_client("podman", "CONTAINER_HOST", &instance("podman"), args, known)?,
            Wrapper::Kubectl => kubectl(chosen, args, known)?,
            Wrapper::Apptainer => {
                let default = if known.instance("apptainer")?.is_some() { "apptainer" } else { "default" };
                let paths = known.variable("APPTAINER_BINDPATH").unwrap_or_default();
                let words = [format!("APPTAINER_BINDPATH={paths}"), "apptainer".to_owned()];
                lima(&instance(default), words.into_iter().chain(args).collect(), known)
            }
        })
    }
}

/// What wrappers ask the world.
pub trait Known {
    /// An environment variable; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<String>;
    fn instance(&self, name: &str) -> Result<Option<Instance>, anyhow::Error>;
    fn has_program(&self, name: &str) -> bool;
}

fn lima(instance: &str, args: Vec<String>, known: &dyn Known) -> Plan {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-h" | "--help"] => return Plan::Print(USAGE),
        ["-v" | "--version"] => return Plan::Limactl(args),
        _ => {}
    }
    let mut words = vec!["shell".to_owned()];
    for (flag, name) in [("--workdir", "LIMA_WORKDIR"), ("--shell", "LIMA_SHELL")] {
        words.extend(known.variable(name).into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    words.extend(["--instance".to_owned(), instance.to_owned()]);
    words.extend(args);
    Plan::Limactl(words)
}

/// The host's client at the socket that the instance forwards, or the guest's own client.
fn socket_client(
    program: &'static str,
    variable: &'static str,
    instance: &str,
    args: Vec<String>,
    known: &dyn Known,
) -> Result<Plan, anyhow::Error> {
    let found = running(instance, known)?;
    if !known.has_program(program) {
        return Ok(lima(instance, std::iter::once(program.to_owned()).chain(args).collect(), known));
    }
    let socket = format!("unix://{}/sock/{program}.sock", found.dir.display());
    Ok(Plan::Client { program, variable: (variable, socket), args })
}

fn kubectl(chosen: Option<String>, args: Vec<String>, known: &dyn Known) -> Result<Plan, anyhow::Error> {
    let instance = match chosen {
        Some(name) => name,
        None => {
            let mut there =
                ["k3s", "k8s"].into_iter().map(|name| Ok((name, known.instance(name)?.is_some())));
            let first = there.find(|found: &Result<_, anyhow::Error>| !matches!(found, Ok((_, false))));
            let Some((name, _)) = first.transpose()? else {
                anyhow::bail!(
                    "no instance `k3s` or `k8s` exists (hint: set `LIMA_INSTANCE`, or create one of them)"
                );
            };
            name.to_owned()
        }
    };
    let found = running(&instance, known)?;
    if !known.has_program("kubectl") {
        return Ok(lima(&instance, std::iter::once("kubectl".to_owned()).chain(args).collect(), known));
    }
    let file = format!("{}/copied-from-guest/kubeconfig.yaml", found.dir.display());
    Ok(Plan::Client { program: "kubectl", variable: ("KUBECONFIG", file), args })
}

fn running(name: &str, known: &dyn Known) -> Result<Instance, anyhow::Error> {
    let Some(found) = known.instance(name)? else {
        anyhow::bail!(
            "instance `{name}` does not exist, run `limactl create {name}` to create a new instance"
        );
    };
    match found.status {
        Status::Running => Ok(found),
        Status::Stopped => super::ssh_profile::refuse_stopped(&found).map(|()| found),
        status => anyhow::bail!(
            "instance `{name}` is not running (status: `{}`), run `limactl start {name}` to start the instance",
            status.name()
        ),
    }
}

/// The real world. Only wrappers that ask for instances need a home.
pub struct ThisMachine(pub Logger);

impl Known for ThisMachine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn instance(&self, name: &str) -> Result<Option<Instance>, anyhow::Error> {
        match instance::inspect(&App::with_defaults(self.0).context()?, name) {
            Ok(found) => Ok(Some(found)),
            Err(instance::Error::NoYaml { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn has_program(&self, name: &str) -> bool {
        process::find(name).is_ok()
    }
}

/// The command that takes this program's place.
pub fn client(program: &str, variable: &(&'static str, String), args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.env(variable.0, &variable.1).args(args);
    command
}

#[cfg(test)]
#[path = "wrappers_tests.rs"]
mod tests;
