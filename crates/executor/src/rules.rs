//! The compiled rules in memory that events are evaluated against.
//!
//! They are current as of one value of the definitions counter. The transaction that writes a decision compares the
//! counter again, so a stale cache costs a second evaluation and never causes a wrong decision.

use attune_common::{
    pool_key::PublicKey,
    secrets::{self, LiteralSealer},
    store::{Error, PgPool, rule_set},
    sync,
};
use attune_domain::{
    ActionId, ActionRef, FieldErrors, RuleId, RuleRef, TriggerId,
    definition::{CorruptDefinition, OnLost},
    event::{Context, EventFacts},
    parameters::Schema,
    policy::{Concurrency, Gates, RateLimit},
    raw::{FromJson, Raw},
    retry::{self, RetryPolicy},
    rule::{ActionSchema, CompiledRule, RuleFacts},
    secret,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// The rules that were loaded last. Clones refer to the same.
#[derive(Debug, Clone, Default)]
pub struct CachedRules(Arc<Mutex<Option<Arc<Rules>>>>);

impl CachedRules {
    pub fn get(&self) -> Option<Arc<Rules>> {
        sync::lock(&self.0).clone()
    }

    pub async fn get_or_load(&self, pool: &PgPool) -> Result<Arc<Rules>, Error> {
        match self.get() {
            Some(rules) => Ok(rules),
            None => self.load(pool).await,
        }
    }

    pub async fn load(&self, pool: &PgPool) -> Result<Arc<Rules>, Error> {
        let rules = Arc::new(Rules::load(pool).await?);
        *sync::lock(&self.0) = Some(Arc::clone(&rules));
        Ok(rules)
    }

    /// Definitions have changed.
    pub fn clear(&self) {
        *sync::lock(&self.0) = None;
    }
}

#[derive(Debug)]
pub struct Rules {
    /// The counter that was read before the rules were.
    pub version: i64,
    by_trigger: HashMap<TriggerId, Vec<Rule>>,
    /// The public keys of pools: literals of secret parameters are sealed to them.
    keys: HashMap<String, PublicKey>,
}

/// A rule and the policies of its action.
#[derive(Debug)]
pub struct Rule {
    pub compiled: CompiledRule,
    pub rule_ref: RuleRef,
    pub action_ref: ActionRef,
    pub action_enabled: bool,
    pub pool: String,
    pub pack_hash: Option<String>,
    pub timeout_seconds: i32,
    pub on_lost: OnLost,
    pub retry: Option<Raw<RetryPolicy>>,
    pub attempts_max: i32,
    action_id: ActionId,
    limits: Result<Limits, CorruptDefinition>,
}

/// The limits of concurrency and rate: the rule's own, and its action's.
#[derive(Debug, Default)]
struct Limits {
    rate: Option<RateLimit>,
    rule: Option<Concurrency<RuleId>>,
    action: Option<Concurrency<ActionId>>,
}

impl Limits {
    fn compile(row: &rule_set::RuleRow) -> Result<Self, CorruptDefinition> {
        let of_rule = |errors| CorruptDefinition::new(format!("the rule {}", row.r#ref), errors);
        Ok(Self {
            rate: parse(row.rate_limit.as_ref()).map_err(of_rule)?,
            rule: parse(row.concurrency.as_ref()).map_err(of_rule)?,
            action: parse(row.action_concurrency.as_ref())
                .map_err(|errors| CorruptDefinition::new(format!("the action {}", row.action_ref), errors))?,
        })
    }
}

fn parse<T: FromJson>(policy: Option<&Raw<T>>) -> Result<Option<T>, FieldErrors> {
    policy.map(Raw::parse).transpose()
}

/// The retry policy of a rule's executions: its own, or else its action's.
fn retry_policy(row: &rule_set::RuleRow) -> Result<Option<RetryPolicy>, CorruptDefinition> {
    parse(row.retry.as_ref()).map_err(|errors| {
        let owner = if row.retry_is_rules {
            format!("the rule {}", row.r#ref)
        } else {
            format!("the action {}", row.action_ref)
        };
        CorruptDefinition::new(owner, errors)
    })
}

impl Rules {
    pub async fn load(pool: &PgPool) -> Result<Self, Error> {
        // First the counter, then the rules. When something changes in between, the counter is already outdated.
        let version = rule_set::version(pool).await?;
        let rows = rule_set::load(pool).await?;
        let keys = secrets::keys(&mut *pool.acquire().await?).await?;
        let mut schemas = HashMap::<ActionRef, ActionSchema>::new();
        let mut by_trigger = HashMap::<TriggerId, Vec<Rule>>::new();
        for row in rows {
            let compile = || Arc::new(Schema::compile(&row.parameters_schema));
            let schema = schemas.entry(row.action_ref.clone()).or_insert_with(compile);
            let rule = Rule::compile(Arc::clone(schema), row);
            by_trigger.entry(rule.compiled.trigger_id).or_default().push(rule);
        }
        Ok(Self {
            version,
            by_trigger,
            keys,
        })
    }

    /// Seals literals for the workers of the rule's action.
    pub fn sealer<'a>(&self, rule: &'a Rule) -> LiteralSealer<'a> {
        LiteralSealer {
            action: &rule.compiled.action_ref,
            pool: &rule.pool,
            key: self.keys.get(&rule.pool).copied(),
            // Only rules and starts by hand are sealed for the installation too: the executor does not need its key.
            sealer: None,
        }
    }

    /// The rules of a trigger, in the order of their ids.
    pub fn of(&self, trigger: TriggerId) -> &[Rule] {
        self.by_trigger.get(&trigger).map_or(&[], Vec::as_slice)
    }
}

impl Rule {
    fn compile(schema: ActionSchema, row: rule_set::RuleRow) -> Self {
        let policy = retry_policy(&row);
        let attempts_max = retry::attempts_max(policy.as_ref().ok().and_then(Option::as_ref), row.on_lost);
        let limits = policy.and_then(|_| Limits::compile(&row));
        Self {
            compiled: CompiledRule::compile(RuleFacts {
                id: row.id,
                r#ref: row.r#ref.to_string(),
                version: row.version,
                created_at: row.created_at,
                enabled: row.enabled,
                trigger_id: row.trigger_id,
                action_ref: row.action_ref.to_string(),
                condition: row.condition,
                action_params: row.action_params,
                schema,
            }),
            rule_ref: row.r#ref,
            action_ref: row.action_ref,
            action_id: row.action_id,
            action_enabled: row.action_enabled,
            pool: row.pool,
            pack_hash: row.pack_hash,
            timeout_seconds: row.timeout_seconds,
            on_lost: row.on_lost,
            retry: row.retry,
            attempts_max: i32::try_from(attempts_max).unwrap_or(i32::MAX),
            limits,
        }
    }

    /// The limits that an execution with these parameters must pass. An error is the reason of a failed enforcement.
    pub fn gates(&self, event: &EventFacts, parameters: &Value) -> Result<Gates, String> {
        let limits = self.limits.as_ref().map_err(CorruptDefinition::to_string)?;
        let visible = secret::visible(parameters);
        let of_rule = event.for_rule(&self.compiled.r#ref).with(&visible);
        let of_action = Context::of_action(&visible);
        let rule = limits.rule.as_ref();
        let action = limits.action.as_ref();
        Ok(Gates {
            rate: limits.rate.map(|rate| rate.gate(self.compiled.id)),
            rule: rule.map(|rule| rule.gate(self.compiled.id, &of_rule)).transpose()?,
            action: action
                .map(|action| action.gate(self.action_id, &of_action))
                .transpose()?,
        })
    }
}
