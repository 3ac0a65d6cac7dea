//! Leading without a cluster.

use std::{sync::Arc, time::Duration};

use tenure_core::{Elector as _, always::AlwaysElector};
use tokio::sync::watch;

use crate::{
    candidacy::Candidacy,
    clock,
    driver::{Driver, Outside, Parts},
    election::LeaderElection,
    holders::Holders,
    lock::always::NoLock,
    orders,
    telling::Telling,
    warm::Warmth,
};

const GRACE: Duration = Duration::from_secs(3);

impl LeaderElection {
    /// An election with one candidate, which leads whenever it wants to: for one replica and for
    /// local runs. No cluster is asked. Its tokens count its terms, from 1.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn always() -> Self {
        let elector = AlwaysElector::new(GRACE);
        let (orders, order_receiver) = orders::orders();
        let (status, status_receiver) = watch::channel(elector.status());
        let holders = Arc::new(Holders::default());
        let candidacy = Candidacy::new("always", "", "always", clock::system_clock());
        let election = Self::new(
            orders.clone(),
            status_receiver,
            &holders,
            Arc::clone(&candidacy),
        );
        let driver = Driver::new(Parts {
            lock: NoLock,
            warmth: Warmth::none(),
            elector,
            orders: order_receiver,
            order_sender: orders.downgrade(),
            outside: Outside { status, holders },
            telling: Telling::new(Arc::clone(&candidacy)),
            candidacy,
            release: true,
            release_on_drop: false,
            grace: GRACE,
        });
        tokio::spawn(driver.run());
        election
    }
}
