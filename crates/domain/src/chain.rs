//! The loop guard. An event that Attune writes about an execution has a chain: the rules whose executions led to it, oldest
//! first, with 0 for an execution without a rule. An event with an external cause has none.

use crate::RuleId;

/// The longest chain that may be allowed.
pub const DEPTH_MAX: usize = 31;
/// How often a rule may run in one chain.
const RUNS_MAX: usize = 2;

/// The chain of an event, if its cause is not external.
pub type Chain = Option<Vec<i64>>;

/// Why a rule must not run for an event with this chain. `depth_max`: the longest chain after which rules run.
pub fn loop_reason(chain: &[i64], rule: RuleId, depth_max: usize) -> Option<String> {
    let runs = chain.iter().filter(|id| **id == rule.0).count();
    if runs >= RUNS_MAX {
        return Some(format!(
            "loop: this rule has already run {runs} times in the chain of executions that led to the event"
        ));
    }
    let depth = chain.len();
    (depth > depth_max).then(|| {
        format!("loop: the event follows from {depth} executions in a row, and limits.chain_depth is {depth_max}")
    })
}

/// Whether an enforcement was skipped by the loop guard.
pub fn is_loop(reason: &str) -> bool {
    reason.starts_with("loop: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_runs_twice_in_a_chain() {
        let rule = RuleId(7);
        assert_eq!(loop_reason(&[], rule, 10), None);
        assert_eq!(loop_reason(&[7, 8, 0], rule, 10), None);
        let reason = loop_reason(&[7, 8, 7], rule, 10).expect("a third run is refused");
        assert!(is_loop(&reason) && reason.contains("2 times"), "{reason}");
    }

    #[test]
    fn a_chain_has_a_greatest_depth() {
        assert_eq!(loop_reason(&[1, 2, 3], RuleId(4), 3), None);
        let reason = loop_reason(&[1, 2, 3], RuleId(4), 2).expect("the chain is too long");
        assert!(
            is_loop(&reason) && reason.contains("3 executions") && reason.contains("is 2"),
            "{reason}"
        );
    }
}
