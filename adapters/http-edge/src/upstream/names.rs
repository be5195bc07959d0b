//! Where a target is: what its name stands for at this moment.
//!
//! Always: addresses are used for as long as the resolver says and asked for again beside the requests; old ones stay while
//! there is no answer. Not here: connecting to them (`connect`).

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use novagate_net::{Instance, ResolveError, Resolver};
use novagate_policies::instance_order;
use novagate_routing::TargetUrl;

use super::eyeballs::interleaved;

/// What a name stands for.
#[derive(Debug)]
pub(super) struct Names {
    known: RefCell<Known>,
    /// Until when nobody needs to ask again; `None`: it never changes.
    fresh_until: Cell<Option<Instant>>,
    asking: Cell<bool>,
}

#[derive(Debug)]
enum Known {
    /// Addresses in the order in which they are tried.
    Addresses(Rc<[SocketAddr]>),
    /// Each with such addresses.
    Instances(Box<[Instance]>),
}

impl Names {
    pub(super) fn of(url: &TargetUrl) -> Self {
        let literal: Option<IpAddr> = url.host.parse().ok();
        let known = Known::Addresses(literal.map(|ip| SocketAddr::new(ip, url.port)).into_iter().collect());
        let fresh_until = Cell::new(literal.is_none().then(Instant::now));
        Self { known: RefCell::new(known), fresh_until, asking: Cell::new(false) }
    }

    /// Whether nothing is known yet.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(&*self.known.borrow(), Known::Addresses(none) if none.is_empty())
    }

    /// The addresses in the order in which they are to be tried; `random` decides among instances.
    pub(super) fn addresses(&self, random: impl FnOnce() -> u64) -> Rc<[SocketAddr]> {
        match &*self.known.borrow() {
            Known::Addresses(addresses) => Rc::clone(addresses),
            Known::Instances(instances) => {
                let ranks: Vec<_> = instances.iter().map(|each| (each.priority, each.weight)).collect();
                let order = instance_order(&ranks, random()).into_iter().filter_map(|at| instances.get(at));
                order.flat_map(|instance| &instance.addresses).copied().collect()
            }
        }
    }

    /// Whether somebody should ask again; true for one caller only.
    pub(super) fn wants_asking(&self) -> bool {
        let is_old = self.fresh_until.get().is_some_and(|fresh_until| Instant::now() >= fresh_until);
        is_old && !self.asking.replace(true)
    }

    /// Asks what the name of a target stands for.
    pub(super) async fn ask(&self, url: &TargetUrl, resolver: &Resolver) -> Result<(), ResolveError> {
        let answer = ask(url, resolver).await;
        self.asking.set(false);
        let (known, valid_for) = answer?;
        self.known.replace(known);
        self.fresh_until.set(Some(Instant::now() + valid_for));
        Ok(())
    }
}

async fn ask(url: &TargetUrl, resolver: &Resolver) -> Result<(Known, std::time::Duration), ResolveError> {
    if url.is_srv() {
        let mut found = resolver.discover(&url.host).await?;
        for instance in &mut found.instances {
            instance.addresses = interleaved(&instance.addresses);
        }
        return Ok((Known::Instances(found.instances.into()), found.valid_for));
    }
    let found = resolver.resolve(&url.host, url.port).await?;
    Ok((Known::Addresses(interleaved(&found.addresses).into()), found.valid_for))
}
