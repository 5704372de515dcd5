//! How a type looks in the documentation: its own schema, and those that it refers to.

use crate::{request::Form, route::Needs};
use serde_json::{Value, json};
use utoipa::ToSchema;

#[derive(Debug)]
pub struct Schema {
    pub name: String,
    pub value: Value,
    pub others: Vec<(String, Value)>,
}

impl Schema {
    pub fn of<T: ToSchema>() -> Self {
        let mut others = Vec::new();
        T::schemas(&mut others);
        Self {
            name: T::name().into_owned(),
            value: json!(T::schema()),
            others: others.into_iter().map(|(name, schema)| (name, json!(schema))).collect(),
        }
    }

    /// What a form takes: fields with a default are not required, and no other field is known.
    pub fn of_form<F: Form>() -> Self {
        let mut schema = Self::of::<F>();
        let optional = |name: &str| F::DEFAULTED.iter().any(|known| known.trim_start_matches("r#") == name);
        if let Some(Value::Array(required)) = schema.value.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(optional));
        }
        schema.value["additionalProperties"] = json!(false);
        schema
    }

    pub fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.name)})
    }

    /// The form as a route takes it.
    pub fn needing(&self, needs: Needs) -> Value {
        if needs == Needs::All {
            return self.reference();
        }
        let mut value = self.value.clone();
        if let Some(Value::Array(required)) = value.get_mut("required") {
            required.retain(|name| needs == Needs::AllButName && name != "ref");
        }
        if value["required"] == json!([])
            && let Value::Object(fields) = &mut value
        {
            fields.remove("required");
        }
        value
    }

    /// Name, schema and necessity of each field.
    pub fn fields(&self) -> Vec<(String, Value, bool)> {
        let required = self.value["required"].as_array().cloned().unwrap_or_default();
        let properties = self.value["properties"].as_object().cloned().unwrap_or_default();
        properties
            .into_iter()
            .map(|(name, schema)| {
                let needed = required.contains(&json!(name));
                (name, schema, needed)
            })
            .collect()
    }
}
