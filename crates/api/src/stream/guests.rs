//! How many watch at the same time: bounded, and bounded for each caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

const MAX: usize = 512;
const EACH_MAX: usize = 16;

#[derive(Debug, Clone, Default)]
pub struct Guests(Arc<Mutex<HashMap<String, usize>>>);

/// A place; dropped, it is free again.
#[derive(Debug)]
pub struct Guest {
    guests: Guests,
    caller: String,
}

impl Guests {
    pub fn enter(&self, caller: &str) -> Option<Guest> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = places.get(caller).copied().unwrap_or(0);
        if own >= EACH_MAX || places.values().sum::<usize>() >= MAX {
            return None;
        }
        places.insert(caller.to_owned(), own + 1);
        drop(places);
        Some(Guest {
            guests: self.clone(),
            caller: caller.to_owned(),
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut places = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                places.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let guests = Guests::default();
        let ann: Vec<_> = (0..EACH_MAX).map_while(|_| guests.enter("ann")).collect();
        assert_eq!(ann.len(), EACH_MAX);
        assert!(guests.enter("ann").is_none());
        assert!(guests.enter("bob").is_some());
        drop(ann);
        assert!(guests.enter("ann").is_some());
        let all: Vec<_> = (0..2 * MAX).map_while(|n| guests.enter(&n.to_string())).collect();
        assert_eq!(all.len(), MAX);
    }
}
