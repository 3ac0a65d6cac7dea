//! Leading without a cluster.

use std::{sync::Arc, time::Duration};

use tenure_core::{Elector as _, always::AlwaysElector};
use tokio::sync::watch;

use crate::{
    clock,
    driver::{Driver, Outside, Parts, Pulse},
    election::{Handles, LeaderElection},
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
        let clock = clock::system_clock();
        let (orders, order_receiver) = orders::orders();
        let (status, status_receiver) = watch::channel(elector.status());
        let holders = Arc::new(Holders::default());
        let pulse = Arc::new(Pulse::new());
        let name: Arc<str> = "always".into();
        let handles = Handles {
            orders: orders.clone(),
            status: status_receiver,
            holders: Arc::downgrade(&holders),
            pulse: Arc::clone(&pulse),
            clock: clock.clone(),
            identity: Arc::clone(&name),
            name: Arc::clone(&name),
            namespace: "".into(),
        };
        let driver = Driver::new(Parts {
            lock: NoLock,
            warmth: Warmth::none(),
            elector,
            clock,
            orders: order_receiver,
            order_sender: orders.downgrade(),
            outside: Outside {
                status,
                holders,
                pulse,
            },
            name: Arc::clone(&name),
            identity: Arc::clone(&name),
            release: true,
            release_on_drop: false,
            grace: GRACE,
            telling: Telling::new(Arc::clone(&name), "".into(), name),
        });
        tokio::spawn(driver.run());
        Self::from_handles(handles)
    }
}
