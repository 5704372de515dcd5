//! Limits the number of open streams, in total and per caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

const MAX: usize = 512;
const PER_CALLER_MAX: usize = 16;

#[derive(Debug, Clone, Default)]
pub struct StreamSlots(Arc<Mutex<HashMap<String, usize>>>);

/// One open stream. Dropping it frees the slot.
#[derive(Debug)]
pub struct StreamSlot {
    slots: StreamSlots,
    caller: String,
}

impl StreamSlots {
    pub fn enter(&self, caller: &str) -> Option<StreamSlot> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(caller).copied().unwrap_or(0);
        if own >= PER_CALLER_MAX || open.values().sum::<usize>() >= MAX {
            return None;
        }
        open.insert(caller.to_owned(), own + 1);
        drop(open);
        Some(StreamSlot {
            slots: self.clone(),
            caller: caller.to_owned(),
        })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_freed() {
        let slots = StreamSlots::default();
        let ann: Vec<_> = (0..PER_CALLER_MAX).map_while(|_| slots.enter("ann")).collect();
        assert_eq!(ann.len(), PER_CALLER_MAX);
        assert!(slots.enter("ann").is_none());
        assert!(slots.enter("bob").is_some());
        drop(ann);
        assert!(slots.enter("ann").is_some());
        let all: Vec<_> = (0..2 * MAX).map_while(|n| slots.enter(&n.to_string())).collect();
        assert_eq!(all.len(), MAX);
    }
}
