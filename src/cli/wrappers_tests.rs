//! Tests of the wrappers' decisions.

use std::collections::BTreeMap;

use super::*;
use crate::config::Bytes;

#[derive(Default)]
struct World {
    variables: BTreeMap<&'static str, &'static str>,
    instances: BTreeMap<&'static str, Status>,
    programs: Vec<&'static str>,
}

impl Known for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn instance(&self, name: &str) -> Result<Option<Instance>, anyhow::Error> {
        Ok(self.instances.get(name).map(|status| record(name, *status)))
    }

    fn has_program(&self, name: &str) -> bool {
        self.programs.contains(&name)
    }
}

fn record(name: &str, status: Status) -> Instance {
    Instance {
        name: name.into(),
        hostname: format!("lima-{name}"),
        status,
        dir: format!("/lh/{name}").into(),
        vm_type: None,
        arch: None,
        cpus: 1,
        memory: Bytes(0),
        disk: Bytes(0),
        message: String::new(),
        ssh_local_port: 0,
        ssh_config_file: "/lh/x".into(),
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

fn plan(line: &str, world: &World) -> String {
    let mut words = line.split(' ').map(str::to_owned);
    let name = words.next().unwrap();
    match Wrapper::called(&name).unwrap().plan(words.collect(), world) {
        Ok(Plan::Limactl(words)) => words.join(" "),
        Ok(Plan::Print(text)) => text.to_owned(),
        Ok(Plan::Client { program, variable: (name, value), args }) => {
            format!("{name}={value} {program} {}", args.join(" "))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_are_told_by_the_last_part_of_the_path() {
    assert_eq!(Wrapper::called("/usr/bin/lima"), Some(Wrapper::Lima));
    assert_eq!(Wrapper::called("docker.lima"), Some(Wrapper::Docker));
    assert_eq!(Wrapper::called("/opt/lima/limactl"), None);
    assert_eq!(Wrapper::called(""), None);
}

#[test]
fn lima_is_a_shell_with_the_users_settings() {
    let mut world = World::default();
    assert_eq!(plan("lima uname -a", &world), "shell --instance default uname -a");
    assert_eq!(plan("lima --version", &world), "--version");
    assert_eq!(plan("lima --help x", &world), "shell --instance default --help x");
    assert!(plan("lima -h", &world).starts_with("Usage: lima "));
    world.variables = [("LIMA_INSTANCE", "a"), ("LIMA_WORKDIR", "/x"), ("LIMA_SHELL", "/bin/sh")].into();
    assert_eq!(plan("lima ls", &world), "shell --workdir /x --shell /bin/sh --instance a ls");
    assert_eq!(plan("nerdctl.lima ps", &world), "shell --preserve-env a nerdctl ps");
}

#[test]
fn a_client_of_the_host_is_led_to_the_guest() {
    let mut world = World::default();
    assert_eq!(
        plan("docker.lima ps", &world),
        "instance `docker` does not exist, run `limactl create docker` to create a new instance"
    );
    world.instances = [("docker", Status::Stopped), ("podman", Status::Running)].into();
    assert_eq!(
        plan("docker.lima ps", &world),
        "instance `docker` is stopped, run `limactl start docker` to start the instance"
    );
    assert_eq!(plan("podman.lima ps", &world), "shell --instance podman podman ps");
    world.programs.push("podman");
    assert_eq!(plan("podman.lima ps", &world), "CONTAINER_HOST=unix:///lh/podman/sock/podman.sock podman ps");
    world.instances.insert("docker", Status::Running);
    world.programs.push("docker");
    assert_eq!(plan("docker.lima ps", &world), "DOCKER_HOST=unix:///lh/docker/sock/docker.sock docker ps");
}

#[test]
fn kubectl_takes_the_first_cluster_that_exists() {
    let mut world = World { programs: vec!["kubectl"], ..World::default() };
    assert!(plan("kubectl.lima get", &world).starts_with("no instance `k3s` or `k8s` exists"));
    world.instances = [("k8s", Status::Running)].into();
    let file = "copied-from-guest/kubeconfig.yaml";
    assert_eq!(plan("kubectl.lima get", &world), format!("KUBECONFIG=/lh/k8s/{file} kubectl get"));
    world.instances.insert("k3s", Status::Running);
    assert_eq!(plan("kubectl.lima get", &world), format!("KUBECONFIG=/lh/k3s/{file} kubectl get"));
    world.instances.insert("k3s", Status::Broken);
    assert!(plan("kubectl.lima get", &world).contains("`k3s` is not running (status: `Broken`)"));
}

#[test]
fn apptainer_gets_its_paths_as_an_assignment() {
    let mut world = World::default();
    world.variables.insert("APPTAINER_BINDPATH", "/a:/b");
    assert_eq!(
        plan("apptainer.lima run x", &world),
        "shell --instance default APPTAINER_BINDPATH=/a:/b apptainer run x"
    );
    world.instances.insert("apptainer", Status::Running);
    assert!(plan("apptainer.lima run x", &world).contains("--instance apptainer "));
}
