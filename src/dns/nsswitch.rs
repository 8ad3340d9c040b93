//! `nsswitch.conf(5)`: whom the host asks for an address, in which order, and when it stops. Pure: what has to be asked is said, not asked.
//!
//! ```text
//!  Nsswitch::parse ──► rules ──► Walk::start ──► Ask(module) ──► the module says a status ──► Walk::after ──► Ask … or Done(status)
//! ```
//!
//! A walk stands for one call of `getaddrinfo` for one name and one family, as glibc makes it; `tests/dns/configuration.rs` compares the two.
//! Modules that cannot know the name are passed over without asking anybody:
//!
//! | word of the line | name with a dot | single label |
//! |---|---|---|
//! | `files` | the hosts file | the hosts file |
//! | `dns` | the nameservers | the system |
//! | `resolve` | systemd-resolved's stub; UNAVAIL where it does not run or is not installed; the system where it runs without stub | the system |
//! | `mdns_minimal`, `mdns4_minimal`, `mdns6_minimal` | UNAVAIL; the system below `.local` | the system |
//! | `myhostname` | NOTFOUND; the system for the host's own name, `localhost.localdomain` and below both names of the loopback | the system |
//! | `mymachines` | NOTFOUND | the system |
//! | any other | the system | the system |
//!
//! "The system" is `getaddrinfo` for the whole name, whose answer is final. It is also asked where a line says what only glibc itself
//! can do: `[SUCCESS=continue]` and `merge` (what they mean changed between versions; behind the last service of a line 2.36 finds the addresses, none
//! or EBUSY, as its memory happens to be), and an action that depends on whether `myhostname` or `mymachines` says NOTFOUND or, not being
//! installed or not knowing the name, UNAVAIL (`mymachines` 252 says the latter).
//!
//! The system is **never** asked for what it would take for a number (a guest that asks DNS for `1` does not mean 0.0.0.1), for a name that no
//! host can have, or where the line is empty: glibc 2.36 crashes then.
//!
//! As glibc reads the file: the last `hosts` line counts; the word is `hosts` in lower case, with or without colon; a last line that no newline
//! ends is not read; `#` and a zero byte end a line; no line means `files dns`. One malformed line for any database that glibc knows makes every
//! lookup fail: the system is asked, and says so.

use std::sync::Arc;

use super::hosts_file::is_space;
use super::resolved;

/// What a module says, as in `nss(5)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    /// There is no such name, or it has no address of this family.
    NotFound,
    /// The module cannot be asked.
    Unavail,
    /// The module could not find out this time.
    TryAgain,
}

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;

impl Status {
    /// What glibc's `dns` makes of a nameserver's last reply: its RCODE, and whether it held an address of the family. `None`: nobody
    /// replied in time, or there is nobody to ask. Seen: SERVFAIL, NOTIMP, REFUSED and silence are UNAVAIL, so TRYAGAIN is never said.
    pub fn of_nameservers(reply: Option<(u16, bool)>) -> Status {
        match reply {
            Some((NOERROR, true)) => Status::Success,
            Some((NOERROR | FORMERR | NXDOMAIN, _)) => Status::NotFound,
            _ => Status::Unavail,
        }
    }

    /// What `resolve` makes of the same words from systemd-resolved, which runs. Its stub says SERVFAIL where it has no server or got no answer.
    pub fn of_resolved(reply: Option<(u16, bool)>) -> Status {
        match reply {
            Some((NOERROR, true)) => Status::Success,
            None | Some((SERVFAIL, _)) => Status::TryAgain,
            Some(_) => Status::NotFound,
        }
    }
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// The hosts file. NOTFOUND if it has no address of the family; UNAVAIL if there is no such file.
    Files,
    /// The system's nameservers ([`Status::of_nameservers`]).
    Nameservers,
    /// The stub of systemd-resolved ([`Status::of_resolved`]).
    Resolved,
    /// `getaddrinfo`, for the whole name; what it says is final.
    System,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Ask(Module),
    /// What the last module said that was asked: with [`Status::Success`] its addresses are the answer. NOTFOUND if only the hosts file or
    /// nobody was asked and the name was not found; UNAVAIL if nobody could be.
    Done(Status),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Return,
    Continue,
    Merge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Files,
    Dns,
    Resolve,
    MdnsMinimal,
    MyHostname,
    MyMachines,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    service: Service,
    /// By status, in the order of [`Status`].
    actions: [Action; 4],
}

/// The `hosts` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nsswitch {
    rules: Vec<Rule>,
}

/// Databases whose lines glibc reads, beside `hosts`.
const DATABASES: [&str; 16] = [
    "aliases",
    "ethers",
    "group",
    "group_compat",
    "gshadow",
    "initgroups",
    "netgroup",
    "networks",
    "passwd",
    "passwd_compat",
    "protocols",
    "publickey",
    "rpc",
    "services",
    "shadow",
    "shadow_compat",
];

impl Default for Nsswitch {
    /// `files dns`.
    fn default() -> Self {
        Nsswitch { rules: vec![Rule::of(Service::Files), Rule::of(Service::Dns)] }
    }
}

impl Nsswitch {
    /// Reads the whole file. An absent file is an empty text.
    pub fn parse(text: &str) -> Nsswitch {
        let mut found = Nsswitch::default();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let line = line.split(['#', '\0']).next().unwrap_or_default().trim_start_matches(is_space);
            let name_end =
                line.find(|character| is_space(character) || character == ':').unwrap_or(line.len());
            let (name, rest) = line.split_at(name_end);
            let rules =
                || rules(rest.trim_start_matches(|character| is_space(character) || character == ':'));
            // The newline that was taken off is white space, so `hosts` alone is a line without services.
            match name {
                "hosts" => match rules() {
                    Some(rules) => found = Nsswitch { rules },
                    None => return Nsswitch::refused(),
                },
                _ if DATABASES.contains(&name) && rules().is_none() => return Nsswitch::refused(),
                _ => {}
            }
        }
        found
    }

    /// What a file with a malformed line means: glibc refuses every lookup, in its own words.
    fn refused() -> Nsswitch {
        Nsswitch { rules: vec![Rule::of(Service::Other)] }
    }
}

impl Rule {
    fn of(service: Service) -> Rule {
        // In the order of `Status`.
        Rule { service, actions: [Action::Return, Action::Continue, Action::Continue, Action::Continue] }
    }

    fn action(&self, status: Status) -> Action {
        self.actions[status as usize]
    }
}

/// The services of a line; `None` if it is malformed. A list of actions without a service before it ends the line.
fn rules(mut rest: &str) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_space);
        let word = take(&mut rest, |character| is_space(character) || character == '[');
        if word.is_empty() {
            return Some(rules);
        }
        let mut rule = Rule::of(match word {
            "files" => Service::Files,
            "dns" => Service::Dns,
            "resolve" => Service::Resolve,
            "mdns_minimal" | "mdns4_minimal" | "mdns6_minimal" => Service::MdnsMinimal,
            "myhostname" => Service::MyHostname,
            "mymachines" => Service::MyMachines,
            _ => Service::Other,
        });
        rest = rest.trim_start_matches(is_space);
        if let Some(list) = rest.strip_prefix('[') {
            rest = list.trim_start_matches(is_space);
            loop {
                action(&mut rest, &mut rule)?;
                rest = rest.trim_start_matches(is_space);
                if let Some(after) = rest.strip_prefix(']') {
                    rest = after;
                    break;
                }
            }
        }
        rules.push(rule);
    }
}

/// One `[!]STATUS=ACTION`.
fn action(rest: &mut &str, rule: &mut Rule) -> Option<()> {
    let all_but = rest.strip_prefix('!').map(|after| *rest = after).is_some();
    let ends = |character| is_space(character) || matches!(character, '=' | ']');
    let word = take(rest, ends);
    let statuses = ["SUCCESS", "NOTFOUND", "UNAVAIL", "TRYAGAIN"];
    let status = statuses.iter().position(|status| status.eq_ignore_ascii_case(word))?;
    *rest = rest.trim_start_matches(is_space).strip_prefix('=')?.trim_start_matches(is_space);
    let action = match take(rest, ends) {
        word if word.eq_ignore_ascii_case("return") => Action::Return,
        word if word.eq_ignore_ascii_case("continue") => Action::Continue,
        word if word.eq_ignore_ascii_case("merge") => Action::Merge,
        _ => return None,
    };
    for (index, slot) in rule.actions.iter_mut().enumerate() {
        if (index == status) != all_but {
            *slot = action;
        }
    }
    Some(())
}

/// Takes what comes before the first character that `ends` it.
fn take<'a>(rest: &mut &'a str, ends: impl Fn(char) -> bool) -> &'a str {
    let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = after;
    word
}

/// What a walk has to know of the host.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// `gethostname`, in lower case.
    pub own_name: &'a str,
    pub resolved: resolved::State,
}

/// One name on its way along the line. Cheap to clone and to keep.
#[derive(Debug, Clone)]
pub struct Walk {
    rules: Arc<Nsswitch>,
    /// The rule that is being asked.
    at: usize,
    name: Name,
    resolved: resolved::State,
    /// What [`Next::Done`] will say if nobody else is asked.
    outcome: Status,
    asked: bool,
    /// The system was asked: whatever it says is the end.
    last: bool,
}

/// What kind of name it is, as far as modules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Not a host's name, or a number to `getaddrinfo`.
    Raw,
    Single,
    Local,
    Own,
    Plain,
}

enum Role {
    Ask(Module),
    Pass(Status),
    /// Says NOTFOUND or UNAVAIL, depending on what is installed.
    PassEither,
}

impl Walk {
    /// Begins with `name` (lower case, no final dot).
    pub fn start(rules: &Arc<Nsswitch>, name: &str, host: &Host<'_>) -> (Walk, Next) {
        let name = Name::of(name, host.own_name);
        let (rules, resolved) = (rules.clone(), host.resolved);
        let mut walk =
            Walk { rules, at: 0, name, resolved, outcome: Status::Unavail, asked: false, last: false };
        let next = walk.proceed();
        (walk, next)
    }

    /// Goes on after the module that was to be asked has said `status`. After [`Next::Done`] it changes nothing.
    pub fn after(&mut self, status: Status) -> Next {
        let Some(rule) = self.rules.rules.get(self.at) else {
            return Next::Done(self.outcome);
        };
        // A missing hosts file has no names; it does not make the name doubtful.
        let missing = rule.service == Service::Files && status == Status::Unavail;
        self.outcome = if missing { Status::NotFound } else { status };
        self.asked = true;
        match rule.action(status) {
            _ if self.last => self.end(),
            Action::Return => self.end(),
            Action::Continue if status != Status::Success => {
                self.at += 1;
                self.proceed()
            }
            Action::Continue | Action::Merge => self.system(),
        }
    }

    /// Passes over what need not be asked, from the current rule on.
    fn proceed(&mut self) -> Next {
        while let Some(rule) = self.rules.rules.get(self.at) {
            let status = match self.role(rule.service) {
                Role::Ask(Module::System) => return self.system(),
                Role::Ask(module) => return Next::Ask(module),
                Role::Pass(status) => status,
                Role::PassEither if rule.action(Status::NotFound) == rule.action(Status::Unavail) => {
                    Status::NotFound
                }
                Role::PassEither => return self.system(),
            };
            if status == Status::NotFound && !self.asked {
                self.outcome = status;
            }
            match rule.action(status) {
                Action::Return => return self.end(),
                Action::Continue => self.at += 1,
                Action::Merge => return self.system(),
            }
        }
        self.end()
    }

    fn role(&self, service: Service) -> Role {
        use resolved::State;
        match (service, self.name) {
            (Service::Files, _) => Role::Ask(Module::Files),
            (_, Name::Single) => Role::Ask(Module::System),
            (Service::Dns, _) => Role::Ask(Module::Nameservers),
            (Service::Resolve, _) => match self.resolved {
                State::Stub => Role::Ask(Module::Resolved),
                State::Absent => Role::Pass(Status::Unavail),
                State::NoStub => Role::Ask(Module::System),
            },
            (Service::MdnsMinimal, Name::Local) => Role::Ask(Module::System),
            (Service::MdnsMinimal, _) => Role::Pass(Status::Unavail),
            (Service::MyHostname, Name::Own) => Role::Ask(Module::System),
            (Service::MyHostname | Service::MyMachines, _) => Role::PassEither,
            (Service::Other, _) => Role::Ask(Module::System),
        }
    }

    /// Asks the system, or, for a name that it must not see, passes on.
    fn system(&mut self) -> Next {
        if self.name != Name::Raw {
            self.last = true;
            return Next::Ask(Module::System);
        }
        if self.outcome == Status::Success {
            return self.end();
        }
        self.at += 1;
        self.proceed()
    }

    fn end(&mut self) -> Next {
        self.at = self.rules.rules.len();
        Next::Done(self.outcome)
    }
}

impl Name {
    fn of(name: &str, own_name: &str) -> Name {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) || is_number(name) {
            return Name::Raw;
        }
        let loopback = ["localhost", "localhost.localdomain"];
        let below = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        if !name.contains('.') {
            Name::Single
        } else if name == own_name || loopback.iter().any(|domain| name == *domain || below(domain)) {
            Name::Own
        } else if below("local") {
            Name::Local
        } else {
            Name::Plain
        }
    }
}

/// Whether `getaddrinfo` takes the name for an IPv4 address, as `inet_aton` writes it: up to four numbers, the last of which fills the rest;
/// decimal, octal after `0`, hexadecimal after `0x`. (IPv6 addresses have a colon, which no host's name has.)
fn is_number(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None if part.starts_with(|first: char| first.is_ascii_digit()) => part.parse().ok(),
        None => None,
    };
    let (Some((last, first)), 1..=4) = (parts.split_last(), parts.len()) else {
        return false;
    };
    let room = u32::MAX >> (8 * first.len());
    first.iter().all(|part| number(part).is_some_and(|value| value <= 255))
        && number(last).is_some_and(|value| value <= room)
}

#[cfg(test)]
#[path = "nsswitch_tests.rs"]
mod tests;
