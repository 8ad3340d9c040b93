//! From a client's bytes to the reply: the tables first, then whoever has to be asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use tokio::time::{Instant, timeout_at};

use super::Settings;
use super::answer::{self, Source, Step, TABLE_TTL, View};
use super::followed::Followed;
use super::hosts_file::HostsFile;
use super::message::{Data, Query, Reply};
use super::nameservers::Nameservers;
use super::native::{NativeError, Pool};
use super::static_hosts::StaticHosts;
use super::upstream::{AttemptError, Patience, Upstream, UpstreamError};
use crate::sys::resolve::{Family, ResolveError};

/// Everything that answers need, for all clients.
pub struct Engine {
    /// Replaced as a whole while questions are answered.
    static_hosts: Arc<Mutex<Arc<StaticHosts>>>,
    ipv6: bool,
    hosts_file: Mutex<Followed<HostsFile>>,
    upstream: Arc<Upstream>,
    native: Pool,
    patience: Patience,
}

impl Engine {
    /// `own`: the addresses of the server itself.
    pub fn new(settings: Settings, own: Vec<SocketAddr>) -> Self {
        let hosts_file = Followed::<HostsFile>::new(settings.hosts_file, HostsFile::parse);
        let nameservers = Nameservers::new(settings.resolv_conf, settings.nameserver_port, own);
        Engine {
            static_hosts: Arc::new(Mutex::new(Arc::new(settings.hosts))),
            ipv6: settings.ipv6,
            hosts_file: Mutex::new(hosts_file),
            upstream: Arc::new(Upstream::new(nameservers, settings.patience)),
            native: Pool::new(settings.lookup),
            patience: settings.patience,
        }
    }

    /// Where the static names can be replaced.
    pub fn static_hosts(&self) -> Arc<Mutex<Arc<StaticHosts>>> {
        self.static_hosts.clone()
    }

    /// What can be said at once. Does not wait (but may read the hosts file, if it has changed).
    pub fn look(&self, bytes: &[u8]) -> Step {
        // The value inside is replaced in one step, so a panic elsewhere cannot have spoilt it.
        let hosts_file = self.hosts_file.lock().unwrap_or_else(PoisonError::into_inner).current();
        let own_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let own_name = own_name.unwrap_or_default().to_ascii_lowercase();
        let static_hosts = self.static_hosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let view = View {
            static_hosts: &static_hosts,
            hosts_file: &hosts_file,
            own_name: &own_name,
            ipv6: self.ipv6,
        };
        answer::look(bytes, &view)
    }

    /// Asks `source` and writes the reply. Ends within `patience.question`, give or take a thread switch.
    pub async fn ask(&self, query: Query, source: Source) -> (Arc<Query>, Vec<u8>) {
        let query = Arc::new(query);
        let reply = match source {
            Source::Nameservers { alias_of: None, exists } => {
                self.nameservers(&query).await.map(|mut reply| {
                    if exists {
                        reply.name_exists();
                    }
                    reply.into_bytes()
                })
            }
            Source::Nameservers { alias_of: Some(target), exists } => {
                let about = Arc::new(query.about(&target));
                self.nameservers(&about).await.map(|mut reply| {
                    if exists {
                        reply.name_exists();
                    }
                    flattened(&query, &reply)
                })
            }
            Source::Host { text, name, family } => self.host(&query, &text, &name, family).await,
        };
        let reply = reply.unwrap_or_else(|| query.no_answer());
        (query, reply)
    }

    /// A nameserver's reply; `None` where the client gets SERVFAIL from us.
    async fn nameservers(&self, query: &Arc<Query>) -> Option<Reply> {
        match self.upstream.ask(query).await {
            Ok(reply) => Some(reply),
            // SERVFAIL and NOTIMP are true and may carry a reason. REFUSED is meant for the host: the guest has no other server to try.
            Err(UpstreamError::Failed(AttemptError::Declined { reply, .. }))
                if reply.code() != ResponseCode::Refused =>
            {
                Some(reply)
            }
            Err(error) => {
                tracing::debug!("question `{}` is not answered: {error}", query.question().name);
                None
            }
        }
    }

    /// What the host's resolver says; where it finds nothing, the nameservers know how to say so.
    async fn host(&self, query: &Arc<Query>, text: &str, name: &Name, family: Family) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.patience.question;
        let denied = match self.native(text, family, deadline).await? {
            Ok(addresses) => {
                let data: Vec<Data> = addresses.into_iter().map(Data::Address).collect();
                return Some(query.answer(&data, TABLE_TTL));
            }
            Err(ResolveError::NoName { .. }) => true,
            Err(ResolveError::NoAddress { .. }) => false,
            Err(error @ ResolveError::Failed { .. }) => {
                tracing::debug!("{error}");
                return None;
            }
        };
        let is_alias = *name != query.question().name;
        let about = if is_alias { Arc::new(query.about(name)) } else { query.clone() };
        let (other, raw) = tokio::join!(
            self.native(text, family.other(), deadline),
            timeout_at(deadline, self.nameservers(&about)),
        );
        let raw = raw.ok().flatten();
        let denied_at_all = denied && matches!(other, Some(Err(ResolveError::NoName { .. })));
        let exists = matches!(other, Some(Ok(_)));
        let code = answer::code_of_nothing(denied_at_all, exists, raw.as_ref().map(Reply::code));
        // Passed on with its SOA, if it says the same as the host.
        match raw.filter(|raw| raw.code() == code && !raw.is_positive() && !is_alias) {
            Some(raw) => Some(raw.into_bytes()),
            None => Some(query.reply(code)),
        }
    }

    /// `None` if the system did not answer in time, or could not be asked.
    async fn native(
        &self,
        text: &str,
        family: Family,
        deadline: Instant,
    ) -> Option<Result<Vec<IpAddr>, ResolveError>> {
        match timeout_at(deadline, self.native.addresses(text, family)).await {
            Ok(Ok(addresses)) => Some(Ok(addresses)),
            Ok(Err(NativeError::Resolve(error))) => Some(Err(error)),
            Ok(Err(error @ (NativeError::Full | NativeError::Lost))) => {
                tracing::debug!("cannot look up `{text}`: {error}");
                None
            }
            Err(_) => None,
        }
    }
}

/// The addresses of an alias' target, given to the alias.
fn flattened(query: &Query, reply: &Reply) -> Vec<u8> {
    match reply.addresses() {
        (addresses, ttl) if !addresses.is_empty() => query.answer(&addresses, ttl),
        _ => query.reply(reply.code()),
    }
}
