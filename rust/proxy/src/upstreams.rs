//! The model servers of one policy, as one thread reaches them.
//!
//! A policy and the connections that belong to it are exchanged together, so a call goes to the address that its own
//! policy gives the version. A version that stays where it was keeps its connections.

use std::rc::Rc;
use std::sync::Arc;

use pilotfish_core::call::VersionId;
use pilotfish_core::policy::Policy;
use pilotfish_core::version::Version;

use crate::address::Address;
use crate::pool::Pool;

#[derive(Debug)]
pub struct Upstreams {
    policy: Arc<Policy>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    version: Version,
    answers: Rc<Pool>,
    /// For copies only, so that a version that looks on cannot hold up one that answers.
    copies: Option<Rc<Pool>>,
}

// === impl Upstreams ===

impl Upstreams {
    /// Connects to the servers that `before` did not know, and lets go of those that are no longer named. `connect` is
    /// told whether the connections are for answers.
    pub fn of(
        policy: Arc<Policy>,
        before: Option<&Upstreams>,
        connect: impl Fn(&Version, bool) -> Rc<Pool>,
    ) -> Upstreams {
        let servers = policy.versions().iter().map(|version| {
            let same =
                before.and_then(|before| before.servers.iter().find(|server| server.version == *version));
            let answers = same.map_or_else(|| connect(version, true), |same| Rc::clone(&same.answers));
            let copies = policy.is_shadow(version.id).then(|| {
                let same = same.and_then(|same| same.copies.clone());
                same.unwrap_or_else(|| connect(version, false))
            });
            Server { version: version.clone(), answers, copies }
        });
        let servers: Vec<_> = servers.collect();
        let upstreams = Upstreams { policy, servers };
        for pool in before.into_iter().flat_map(Upstreams::pools).filter(|pool| !upstreams.holds(pool)) {
            pool.close();
        }
        upstreams
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The connections for calls that this version answers.
    pub fn answers(&self, version: VersionId) -> &Rc<Pool> {
        let found = self.servers.iter().find(|server| server.version.id == version);
        &found.unwrap_or(&self.servers[0]).answers
    }

    /// The connections for copies that this version sees.
    pub fn copies(&self, version: VersionId) -> Option<&Rc<Pool>> {
        self.servers.iter().find(|server| server.version.id == version)?.copies.as_ref()
    }

    fn pools(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.servers.iter().flat_map(|server| std::iter::once(&server.answers).chain(&server.copies))
    }

    fn holds(&self, pool: &Rc<Pool>) -> bool {
        self.pools().any(|held| Rc::ptr_eq(held, pool))
    }
}

/// Where a version listens. What is no address is checked long before; here it is one that cannot be reached.
pub fn address(version: &Version) -> Address {
    Address::parse(&version.upstream).unwrap_or_else(|| Address::Tcp(version.upstream.as_ref().into(), 0))
}
