//! Decides whether an execution may start. Checks the rate limit, the rule and the action, in this order. The first refusal
//! decides, and a refused execution uses no slot.
//!
//! The tricky part is the two keys. An execution first waits in the queue of its rule's key. Only when it holds the rule's
//! slot does it wait in the queue of its action's key. So a rule with a long queue never blocks other rules of the action,
//! no execution waits for ever, and two executions never wait for each other.

use super::Overflow;
use crate::RuleId;
use std::collections::HashMap;

/// The limit of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub key: String,
    pub limit: u32,
    pub overflow: Overflow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateGate {
    pub key: String,
    pub rule: RuleId,
    pub limit: u32,
    pub window_seconds: u32,
}

/// All limits that apply to one execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    pub rate: Option<RateGate>,
    pub rule: Option<Gate>,
    pub action: Option<Gate>,
}

impl Gates {
    pub fn is_empty(&self) -> bool {
        self.rate.is_none() && self.rule.is_none() && self.action.is_none()
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let rate = self.rate.as_ref().map(|gate| gate.key.as_str());
        let slots = [&self.rule, &self.action].into_iter().flatten();
        rate.into_iter().chain(slots.map(|gate| gate.key.as_str()))
    }
}

/// The state of a key: its slots in use (or its starts within the window), and whether executions are queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slots {
    pub held: u32,
    pub queued: bool,
}

/// The decision about an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    Start,
    /// It is queued on this key.
    Wait {
        key: String,
    },
    /// It is queued on this key, and the earlier executions of the key are to be canceled.
    CancelPrevious {
        key: String,
    },
    /// It is not created, because the key is full.
    Skip {
        reason: String,
    },
    /// It is not created, because the rate limit of the window is reached.
    Throttle {
        reason: String,
    },
}

/// The state of the keys of one batch, updated by each admission.
#[derive(Debug, Clone, Default)]
pub struct Ledger(HashMap<String, Slots>);

impl Ledger {
    pub fn new(slots: impl IntoIterator<Item = (String, Slots)>) -> Self {
        Self(slots.into_iter().collect())
    }

    /// Decides about one execution and reserves its slots. Call it in the order of the ids.
    pub fn admit(&mut self, gates: &Gates) -> Admit {
        if let Some(refusal) = self.refusal(gates) {
            return refusal;
        }
        if let Some(gate) = &gates.rate {
            self.slots(&gate.key).held += 1;
        }
        for gate in [&gates.rule, &gates.action].into_iter().flatten() {
            let slots = self.slots(&gate.key);
            if !slots.is_open(gate.limit) {
                slots.queued = true;
                let key = gate.key.clone();
                return match gate.overflow {
                    Overflow::CancelPrevious => Admit::CancelPrevious { key },
                    Overflow::Queue | Overflow::Skip => Admit::Wait { key },
                };
            }
            slots.held += 1;
        }
        Admit::Start
    }

    fn refusal(&self, gates: &Gates) -> Option<Admit> {
        if let Some(gate) = gates
            .rate
            .as_ref()
            .filter(|gate| self.get(&gate.key).held >= gate.limit)
        {
            let reason = format!("rate_limit: {} in {} seconds", gate.limit, gate.window_seconds);
            return Some(Admit::Throttle { reason });
        }
        [("rule", &gates.rule), ("action", &gates.action)]
            .into_iter()
            .find_map(|(owner, gate)| {
                let gate = gate.as_ref().filter(|gate| gate.overflow == Overflow::Skip)?;
                let full = !self.get(&gate.key).is_open(gate.limit);
                full.then(|| Admit::Skip {
                    reason: format!("the {owner}'s concurrency limit of {} is reached", gate.limit),
                })
            })
    }

    fn get(&self, key: &str) -> Slots {
        self.0.get(key).copied().unwrap_or_default()
    }

    fn slots(&mut self, key: &str) -> &mut Slots {
        self.0.entry(key.to_owned()).or_default()
    }
}

impl Slots {
    /// A slot is free and no execution is queued for it.
    fn is_open(self, limit: u32) -> bool {
        self.held < limit && !self.queued
    }
}
