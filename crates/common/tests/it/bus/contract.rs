//! The contract of both buses. Each function gets two ends of one bus: two processes at a broker, or the same process twice.

use super::{Process, SOON, drain, soon, until};
use attune_common::{
    bus::{Bus, Control, Controls, Feed, FeedFilter, FeedItem, FeedKind, Feeds, InProcessBus, Subject, Wake},
    testing,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

struct Ends {
    a: Arc<dyn Bus>,
    b: Arc<dyn Bus>,
}

impl Ends {
    /// Waits until the earlier subscriptions are being consumed.
    async fn up(&self) {
        until("both ends are up", SOON, || self.a.health().up && self.b.health().up).await;
    }
}

/// Every contract function, as a separate test in the process, and all together on one broker.
macro_rules! contract {
    ($($name:ident)*) => {
        mod in_process {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
                    super::$name(&Ends { a: Arc::clone(&bus), b: bus }).await;
                }
            )*
        }

        #[tokio::test]
        async fn rabbitmq() {
            let broker = testing::rabbitmq::shared().await.expect("a broker");
            $(
                println!("{}", stringify!($name));
                let namespace = format!("{}.{}", stringify!($name), std::process::id());
                let (a, b) = (Process::start(&broker.url, &namespace), Process::start(&broker.url, &namespace));
                $name(&Ends { a: a.bus.clone(), b: b.bus.clone() }).await;
                a.stop().await;
                b.stop().await;
            )*
        }
    };
}

contract! {
    the_first_call_of_a_subscription_resolves_at_once
    a_wake_reaches_a_waiting_reader
    one_of_many_readers_gets_a_wake
    wakes_without_a_reader_are_coalesced
    kinds_of_work_are_separate
    a_wake_finds_the_idle_reader
    a_dropped_subscription_leaves_the_wakes_to_the_others
    a_wake_survives_a_cancelled_reader
    a_control_reaches_every_reader
    a_slow_reader_of_controls_gets_changed_definitions
    a_feed_subscription_gets_matching_messages
    a_slow_feed_subscription_counts_missed_messages
    a_subscription_may_begin_late
}

async fn the_first_call_of_a_subscription_resolves_at_once(ends: &Ends) {
    for bus in [&ends.a, &ends.b] {
        assert!(drain(&bus.wakes(Wake::Events)) >= 1);
        assert!(drain(&bus.wakes(Wake::Events)) >= 1, "a second subscription as well");
    }
}

async fn a_wake_reaches_a_waiting_reader(ends: &Ends) {
    let wakes = ends.a.wakes(Wake::executions("default"));
    ends.up().await;
    drain(&wakes);
    for _ in 0..20 {
        ends.b.wake(Wake::executions("default"));
        soon(wakes.recv()).await;
    }
}

async fn one_of_many_readers_gets_a_wake(ends: &Ends) {
    let (x, y) = (ends.a.wakes(Wake::Events), ends.b.wakes(Wake::Events));
    let mut fence = ends.a.controls();
    ends.up().await;
    drain(&x);
    drain(&y);
    let mut got = 0;
    for _ in 0..50 {
        ends.b.wake(Wake::Events);
        soon(async {
            tokio::select! { () = x.recv() => {}, () = y.recv() => {} }
        })
        .await;
        got += 1 + drain(&x) + drain(&y);
    }
    ends.b.control(Control::DefinitionsChanged);
    hear(&mut fence, &Control::DefinitionsChanged).await;
    got += drain(&x) + drain(&y);
    assert!((50..60).contains(&got), "50 wakes arrived {got} times");
}

async fn wakes_without_a_reader_are_coalesced(ends: &Ends) {
    let wakes = ends.a.wakes(Wake::Events);
    ends.up().await;
    drain(&wakes);
    for _ in 0..1_000 {
        ends.b.wake(Wake::Events);
    }
    soon(wakes.recv()).await;
    let mut more = 0;
    while tokio::time::timeout(Duration::from_millis(400), wakes.recv())
        .await
        .is_ok()
    {
        more += 1;
        assert!(more < 200, "1,000 equal wakes do not coalesce");
    }
}

async fn kinds_of_work_are_separate(ends: &Ends) {
    let (gpu, default) = (
        ends.a.wakes(Wake::executions("gpu")),
        ends.a.wakes(Wake::executions("default")),
    );
    let events = ends.a.wakes(Wake::Events);
    let mut fence = ends.a.controls();
    ends.up().await;
    for wakes in [&gpu, &default, &events] {
        drain(wakes);
    }
    ends.b.wake(Wake::executions("gpu"));
    soon(gpu.recv()).await;
    ends.b.control(Control::DefinitionsChanged);
    hear(&mut fence, &Control::DefinitionsChanged).await;
    assert_eq!((drain(&default), drain(&events)), (0, 0));
}

/// A busy reader must not consume a wake that an idle one in another process could handle.
async fn a_wake_finds_the_idle_reader(ends: &Ends) {
    let (busy, idle) = (ends.a.wakes(Wake::Events), ends.b.wakes(Wake::Events));
    ends.up().await;
    drain(&busy);
    drain(&idle);
    for _ in 0..5 {
        ends.b.wake(Wake::Events);
        soon(idle.recv()).await;
    }
}

async fn a_dropped_subscription_leaves_the_wakes_to_the_others(ends: &Ends) {
    let (gone, stays) = (ends.a.wakes(Wake::Events), ends.b.wakes(Wake::Events));
    ends.up().await;
    drop(gone);
    drain(&stays);
    for _ in 0..20 {
        ends.a.wake(Wake::Events);
        soon(stays.recv()).await;
    }
}

async fn a_wake_survives_a_cancelled_reader(ends: &Ends) {
    let wakes = ends.a.wakes(Wake::Events);
    ends.up().await;
    drain(&wakes);
    for _ in 0..20 {
        // Starts to wait, and is dropped while the wake may already be in transit.
        let timed_out = tokio::time::timeout(Duration::from_millis(1), wakes.recv());
        ends.b.wake(Wake::Events);
        if timed_out.await.is_err() {
            soon(wakes.recv()).await;
        }
    }
}

async fn a_control_reaches_every_reader(ends: &Ends) {
    let mut readers = [ends.a.controls(), ends.a.controls(), ends.b.controls()];
    ends.up().await;
    for n in 1..=3 {
        let cancel = Control::Cancel {
            execution_id: ExecutionId(Uuid::from_u128(n)),
        };
        ends.b.control(cancel.clone());
        for reader in &mut readers {
            hear(reader, &cancel).await;
        }
    }
}

async fn a_slow_reader_of_controls_gets_changed_definitions(ends: &Ends) {
    let (mut slow, mut probe) = (ends.a.controls(), ends.a.controls());
    ends.up().await;
    for n in 0..1_500 {
        let cancel = Control::Cancel {
            execution_id: ExecutionId(Uuid::from_u128(n)),
        };
        ends.b.control(cancel.clone());
        hear(&mut probe, &cancel).await;
    }
    assert_eq!(soon(slow.recv()).await, Control::DefinitionsChanged);
    assert!(
        matches!(soon(slow.recv()).await, Control::Cancel { .. }),
        "then it continues with the remaining controls"
    );
}

async fn a_feed_subscription_gets_matching_messages(ends: &Ends) {
    let mut all = ends.a.feeds(FeedFilter::default());
    let mut events = ends.a.feeds(FeedFilter {
        subject: Some(Subject::Event),
        ..Default::default()
    });
    let mut one = ends.b.feeds(FeedFilter {
        execution_id: execution(2).execution_id,
        ..Default::default()
    });
    ends.up().await;
    let sent = [execution(1), Feed::new(FeedKind::event_created()), execution(2)];
    for feed in &sent {
        ends.b.feed(feed.clone());
    }
    for feed in &sent {
        assert_eq!(see(&mut all).await, *feed);
    }
    assert_eq!(see(&mut events).await, sent[1]);
    assert_eq!(see(&mut one).await, sent[2]);
}

async fn a_slow_feed_subscription_counts_missed_messages(ends: &Ends) {
    let (mut slow, mut probe) = (ends.a.feeds(FeedFilter::default()), ends.a.feeds(FeedFilter::default()));
    ends.up().await;
    for batch in 0..50 {
        for n in 0..100 {
            ends.b.feed(execution(batch * 100 + n));
        }
        for n in 0..100 {
            assert_eq!(see(&mut probe).await, execution(batch * 100 + n));
        }
    }
    let FeedItem::Missed(missed) = soon(slow.recv()).await else {
        panic!("nothing was missed")
    };
    assert!((1..5_000).contains(&missed), "{missed} of 5,000");
    assert_eq!(see(&mut slow).await, execution(u128::from(missed)));
}

async fn a_subscription_may_begin_late(ends: &Ends) {
    ends.up().await;
    let mut controls = ends.a.controls();
    let mut feeds = ends.a.feeds(FeedFilter::default());
    soon(async {
        loop {
            ends.b.control(Control::DefinitionsChanged);
            let heard = tokio::time::timeout(
                Duration::from_millis(50),
                hear(&mut controls, &Control::DefinitionsChanged),
            );
            if heard.await.is_ok() {
                break;
            }
        }
    })
    .await;
    soon(async {
        loop {
            ends.b.feed(execution(1));
            if tokio::time::timeout(Duration::from_millis(50), feeds.recv())
                .await
                .is_ok()
            {
                break;
            }
        }
    })
    .await;
}

fn execution(n: u128) -> Feed {
    Feed {
        execution_id: Some(ExecutionId(Uuid::from_u128(n))),
        ..Feed::new(FeedKind::execution(ExecutionStatus::Running))
    }
}

/// Waits for this control, and skips others.
pub(super) async fn hear(controls: &mut Controls, control: &Control) {
    soon(async { while controls.recv().await != *control {} }).await;
}

pub(super) async fn see(feeds: &mut Feeds) -> Feed {
    match soon(feeds.recv()).await {
        FeedItem::Feed(feed) => Feed::clone(&feed),
        FeedItem::Missed(missed) => panic!("missed {missed} messages"),
    }
}
