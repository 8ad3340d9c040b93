//! Facts → status. Pure.

use super::record::{Problem, Status};

/// What the locks, the pid files and the agent's socket say about one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Somebody holds `ha.lock`.
    pub agent_locked: bool,
    /// Somebody holds `qemu.lock`.
    pub vm_locked: bool,
    /// No lock, but a live process whose words are those of this instance's agent: upstream's limactl runs it.
    pub foreign_agent: bool,
    /// The same for the VM.
    pub foreign_vm: bool,
    /// What asking the agent brought.
    pub agent: AgentAnswer,
}

/// What asking the agent brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgentAnswer {
    /// There was nobody to ask, or no socket yet or any more.
    #[default]
    NotAsked,
    Answered,
    /// It does not answer; why.
    Failed(String),
}

/// The status, whether upstream's program runs the instance, and what is wrong.
pub fn status(facts: &Facts, vm_type: &str) -> (Status, bool, Vec<Problem>) {
    let foreign = !facts.agent_locked && !facts.vm_locked && (facts.foreign_agent || facts.foreign_vm);
    let agent = facts.agent_locked || facts.foreign_agent;
    let vm = facts.vm_locked || facts.foreign_vm;
    let problem = |text: String| vec![Problem::Text(text)];
    let (status, problems) = match (agent, vm, &facts.agent) {
        (false, false, _) => (Status::Stopped, Vec::new()),
        (false, true, _) => {
            (Status::Broken, problem(format!("{vm_type} driver is running but host agent is not")))
        }
        (true, _, AgentAnswer::Failed(why)) => (Status::Broken, problem(why.clone())),
        (true, true, _) => (Status::Running, Vec::new()),
        (true, false, _) => (Status::Broken, problem("host agent is running but driver is not".to_owned())),
    };
    (status, foreign, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(facts: Facts) -> (Status, bool, String) {
        let (status, foreign, problems) = status(&facts, "qemu");
        (status, foreign, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn locks_decide() {
        let none = Facts::default();
        let both =
            Facts { agent_locked: true, vm_locked: true, agent: AgentAnswer::Answered, ..none.clone() };
        let orphan = Facts { vm_locked: true, ..none.clone() };
        let half = Facts { agent_locked: true, agent: AgentAnswer::Answered, ..none.clone() };
        assert_eq!(told(none), (Status::Stopped, false, String::new()));
        assert_eq!(told(both), (Status::Running, false, String::new()));
        assert_eq!(
            told(orphan),
            (Status::Broken, false, "qemu driver is running but host agent is not".into())
        );
        assert_eq!(told(half), (Status::Broken, false, "host agent is running but driver is not".into()));
    }

    #[test]
    fn an_agent_that_does_not_answer_is_broken_and_one_without_a_socket_is_starting() {
        let starting = Facts { agent_locked: true, vm_locked: true, ..Facts::default() };
        let hung = Facts { agent: AgentAnswer::Failed("late".into()), ..starting.clone() };
        assert_eq!(told(starting), (Status::Running, false, String::new()));
        assert_eq!(told(hung), (Status::Broken, false, "late".into()));
    }

    #[test]
    fn what_upstream_runs_is_foreign() {
        let facts =
            Facts { foreign_agent: true, foreign_vm: true, agent: AgentAnswer::Answered, ..Facts::default() };
        assert_eq!(told(facts), (Status::Running, true, String::new()));
    }
}
