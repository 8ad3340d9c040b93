//! Looking at one instance.

use std::path::Path;
use std::time::Duration;

use super::record::{Instance, Problem, Status};
use super::status::{AgentAnswer, Facts, status};
use super::{Context, Error, message};
use crate::config::{Bytes, Config, name};
use crate::home::{self, InstanceDir, LoadError, lock};
use crate::hostagent::api;
use crate::process::identity::{self, Identity};
use crate::process::words;

/// How long an agent may take to answer.
const AGENT_PATIENCE: Duration = Duration::from_secs(3);
/// Always loopback.
const SSH_ADDRESS: &str = "127.0.0.1";

/// The processes of one instance, proved to be its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    pub agent: Option<Identity>,
    pub vm: Option<Identity>,
}

/// Looks at instance `name`. An error if the name is not valid or its `lima.yaml` does not exist or cannot be read; a `lima.yaml` that
/// cannot be understood is an instance with problems.
pub fn inspect(context: &Context, name: &str) -> Result<Instance, Error> {
    name::check_instance(name)?;
    let dir = context.home.instance(name);
    let path = dir.lima_yaml();
    let config = match context.home.load(&dir, &context.host) {
        Ok(loaded) => Ok(loaded.config),
        Err(LoadError::File(home::Error::Read { path: unread, source })) if unread == path => {
            return Err(Error::NoYaml { path, source });
        }
        Err(error) => Err(words::chain(&error)),
    };
    let mut instance = blank(context, name, &dir);
    instance.protected = dir.protected().symlink_metadata().is_ok();
    instance.lima_version = dir.recorded_version()?.unwrap_or_default();
    match config {
        Ok(config) => fill(context, &mut instance, &dir, config)?,
        Err(text) => instance.problems.push(Problem::Text(text)),
    }
    Ok(instance)
}

/// What is known without a configuration.
fn blank(context: &Context, name: &str, dir: &InstanceDir) -> Instance {
    Instance {
        name: name.to_owned(),
        hostname: name::hostname(name),
        status: Status::Unknown,
        dir: context.home.instance(name).path().to_path_buf(),
        vm_type: None,
        arch: None,
        cpus: 0,
        memory: Bytes(0),
        disk: Bytes(0),
        message: String::new(),
        ssh_local_port: 0,
        ssh_config_file: dir.ssh_config(),
        host_agent_pid: 0,
        driver_pid: 0,
        problems: Vec::new(),
        config: None,
        ssh_address: String::new(),
        protected: false,
        lima_version: String::new(),
        foreign: false,
    }
}

fn fill(context: &Context, instance: &mut Instance, dir: &InstanceDir, config: Config) -> Result<(), Error> {
    instance.vm_type = Some(config.vm_type.clone());
    instance.arch = Some(config.arch);
    (instance.cpus, instance.memory, instance.disk) = (config.cpus, config.memory, config.disk);
    instance.ssh_address = SSH_ADDRESS.to_owned();
    instance.ssh_local_port = config.ssh.local_port;
    let (facts, processes, port) = facts(dir, &config.vm_type)?;
    let pid = |process: &Option<Identity>| process.as_ref().map_or(0, |process| process.pid);
    (instance.host_agent_pid, instance.driver_pid) = (pid(&processes.agent), pid(&processes.vm));
    if let Some(port) = port.filter(|port| *port != 0) {
        instance.ssh_local_port = port;
    }
    if instance.ssh_local_port == 0 {
        instance.ssh_local_port = dir.last_ssh_port().unwrap_or(0);
    }
    let (status, foreign, problems) = status(&facts, &config.vm_type);
    (instance.status, instance.foreign) = (status, foreign);
    instance.problems.extend(problems);
    match message::render(context, instance, &config) {
        Ok(text) => instance.message = text,
        Err(text) => {
            instance.status = Status::Broken;
            instance.problems.push(Problem::Text(text));
        }
    }
    instance.config = Some(config);
    Ok(())
}

/// What locks, pid files and the agent say; the processes; the port that the agent tells.
pub(super) fn facts(dir: &InstanceDir, vm_type: &str) -> Result<(Facts, Processes, Option<u16>), Error> {
    let agent_locked = lock::is_held(&dir.agent_lock())?;
    let vm_locked = lock::is_held(&dir.vm_lock())?;
    let mut agent = match agent_locked {
        true => lock_holder(&dir.agent_lock()),
        false => identity::of_pid_file(&dir.agent_pid(), "hostagent"),
    };
    // The agent notes the VM's process in the lock file a moment after its start; until then the pid file and the command line tell.
    let noted = vm_locked.then(|| lock_holder(&dir.vm_lock())).flatten();
    let vm = noted
        .or_else(|| identity::of_pid_file(&dir.vm_pid(vm_type), "-pidfile"))
        // Virtualization.framework runs inside of upstream's agent, which writes its own number twice.
        .or_else(|| {
            agent.clone().filter(|agent| InstanceDir::read_pid(&dir.vm_pid(vm_type)) == Some(agent.pid))
        });
    let mut facts = Facts {
        agent_locked,
        vm_locked,
        foreign_agent: !agent_locked && agent.is_some(),
        foreign_vm: !vm_locked && vm.is_some(),
        agent: AgentAnswer::NotAsked,
    };
    let mut port = None;
    let socket = dir.agent_socket();
    if (agent_locked || facts.foreign_agent) && socket.exists() {
        facts.agent = match api::info(&socket, AGENT_PATIENCE) {
            Ok(info) => {
                port = Some(info.ssh_local_port);
                AgentAnswer::Answered
            }
            // It went away while we asked: it is ending.
            Err(_) if !socket.exists() => AgentAnswer::NotAsked,
            // It was killed, and lost its lock only after we had looked: of a process with threads the first one dies before the last one.
            Err(_) if agent_locked && !lock::is_held(&dir.agent_lock())? => {
                (facts.agent_locked, agent) = (false, None);
                AgentAnswer::NotAsked
            }
            Err(error) => {
                AgentAnswer::Failed(format!("failed to get Info from `{}`: {error}", socket.display()))
            }
        };
    }
    Ok((facts, Processes { agent, vm }, port))
}

/// The process that a lock file names, if it still lives.
fn lock_holder(lock: &Path) -> Option<Identity> {
    #[derive(serde::Deserialize)]
    struct Holder {
        identity: Identity,
    }
    let text = std::fs::read_to_string(lock).ok()?;
    let holder: Holder = serde_json::from_str(&text).ok()?;
    Some(holder.identity).filter(Identity::is_alive)
}

/// A row for a directory without a readable `lima.yaml`: `list` shows it, nothing else works with it.
pub fn broken_row(context: &Context, name: &str, problem: Problem) -> Instance {
    let dir = context.home.instance(name);
    let mut instance = blank(context, name, &dir);
    instance.hostname = String::new();
    instance.status = Status::Broken;
    instance.problems = vec![problem];
    instance
}
