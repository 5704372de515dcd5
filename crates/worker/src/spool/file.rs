//! The content of a spool file.

use crate::conclude::AttemptResult;
use attune_common::{
    clock, saturating,
    store::execution_queue::{Finished, Lifetime, Requeued},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Content {
    end: Finished,
    again: Option<Requeued>,
    /// Missing in files of earlier releases.
    #[serde(default)]
    slot_keys: Vec<String>,
    #[serde(default)]
    lifetime: Option<StoredLifetime>,
}

/// When the processes of the attempt existed, by the boot clock of one boot of one machine.
#[derive(Serialize, Deserialize)]
struct StoredLifetime {
    boot_id: String,
    began_micros: u64,
    ended_micros: u64,
}

pub(crate) fn encode(result: &AttemptResult) -> serde_json::Result<Vec<u8>> {
    let lifetime = result.finished.life.zip(clock::boot_id());
    serde_json::to_vec(&Content {
        end: result.finished.clone(),
        again: result.retry.clone(),
        slot_keys: result.slot_keys.clone(),
        lifetime: lifetime.map(|(life, boot_id)| StoredLifetime {
            boot_id,
            began_micros: saturating::u64(life.began.as_micros()),
            ended_micros: saturating::u64(life.ended.as_micros()),
        }),
    })
}

/// The lifetime is dropped if it was recorded before a reboot or on another machine: the boot clocks are not comparable.
pub(crate) fn decode(bytes: &[u8]) -> serde_json::Result<AttemptResult> {
    let content: Content = serde_json::from_slice(bytes)?;
    let boot_id = clock::boot_id();
    let lifetime = content
        .lifetime
        .filter(|lifetime| Some(&lifetime.boot_id) == boot_id.as_ref());
    let life = lifetime.map(|lifetime| Lifetime {
        began: Duration::from_micros(lifetime.began_micros),
        ended: Duration::from_micros(lifetime.ended_micros),
    });
    Ok(AttemptResult {
        finished: Finished { life, ..content.end },
        retry: content.again.map(|retry| Requeued { life, ..retry }),
        trace: None,
        slot_keys: content.slot_keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use attune_common::store::execution_queue::AttemptKey;
    use attune_domain::{ExecutionId, execution::ExecutionStatus};

    #[test]
    fn a_lifetime_survives_only_on_the_same_boot() {
        let life = Lifetime {
            began: Duration::from_secs(7),
            ended: Duration::from_millis(7_500),
        };
        let result = AttemptResult {
            finished: Finished {
                held: AttemptKey {
                    id: ExecutionId(uuid::Uuid::nil()),
                    attempt: 1,
                },
                status: ExecutionStatus::Succeeded,
                result: None,
                error: None,
                exit_code: Some(0),
                life: Some(life),
            },
            retry: None,
            trace: None,
            slot_keys: vec!["action:7".to_owned()],
        };
        let text = String::from_utf8(encode(&result).unwrap()).unwrap();
        let read = decode(text.as_bytes()).unwrap();
        assert_eq!((read.finished.life, &read.slot_keys), (Some(life), &result.slot_keys));
        let rebooted = text.replace(&clock::boot_id().unwrap(), "another");
        assert_eq!(decode(rebooted.as_bytes()).unwrap().finished.life, None);
        let earlier_release = text.split(",\"slot_keys\"").next().unwrap().to_owned() + "}";
        assert_eq!(decode(earlier_release.as_bytes()).unwrap().finished.life, None);
    }
}
