//! A JSON column as it is stored, and the type that it represents.
//!
//! A draft and a stored definition hold `Raw<RetryPolicy>` and not `RetryPolicy`: psql is an official way in, so a row may
//! hold anything, and the API has to show it. The only way to the type is [`Raw::parse`], whose error every caller must
//! return, so that a corrupt policy is never treated as absent.

use crate::{
    ActionId, FieldErrors, RuleId,
    condition::Condition,
    on_failure::OnFailure,
    policy::{Concurrency, RateLimit},
    resources::Resources,
    retry::RetryPolicy,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, marker::PhantomData};

/// A type that a JSON column represents.
pub trait FromJson: Sized {
    /// Parses the value, or reports all its wrong fields.
    fn from_json(value: &Value) -> Result<Self, FieldErrors>;
}

macro_rules! from_json {
    ($($type:ty => $read:path),* $(,)?) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Result<Self, FieldErrors> {
                $read(value)
            }
        }
    )*};
}
from_json! {
    RetryPolicy => RetryPolicy::parse,
    Concurrency<ActionId> => Concurrency::parse,
    Concurrency<RuleId> => Concurrency::parse,
    RateLimit => RateLimit::parse,
    Resources => Resources::parse,
    Condition => Condition::compile,
    OnFailure => OnFailure::parse,
}

/// A value of a column that represents a `T`, checked or not.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Raw<T> {
    value: Value,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T: FromJson> Raw<T> {
    pub fn parse(&self) -> Result<T, FieldErrors> {
        T::from_json(&self.value)
    }
}

impl<T> Raw<T> {
    pub fn as_json(&self) -> &Value {
        &self.value
    }
}

impl<T> From<Value> for Raw<T> {
    fn from(value: Value) -> Self {
        Self { value, of: PhantomData }
    }
}

impl<T> Clone for Raw<T> {
    fn clone(&self) -> Self {
        self.value.clone().into()
    }
}

impl<T> PartialEq for Raw<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> fmt::Debug for Raw<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(feature = "sqlx")]
mod column {
    use super::Raw;
    use serde_json::Value;
    use sqlx::{
        Decode, Encode, Postgres, Type, encode::IsNull, error::BoxDynError, postgres::PgArgumentBuffer,
        postgres::PgTypeInfo, postgres::PgValueRef,
    };

    impl<T> Type<Postgres> for Raw<T> {
        fn type_info() -> PgTypeInfo {
            <Value as Type<Postgres>>::type_info()
        }

        fn compatible(info: &PgTypeInfo) -> bool {
            <Value as Type<Postgres>>::compatible(info)
        }
    }

    impl<'r, T> Decode<'r, Postgres> for Raw<T> {
        fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
            <Value as Decode<Postgres>>::decode(value).map(Self::from)
        }
    }

    impl<'q, T> Encode<'q, Postgres> for Raw<T> {
        fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
            <Value as Encode<'q, Postgres>>::encode_by_ref(&self.value, buffer)
        }
    }
}
