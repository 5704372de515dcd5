//! The schema of a type in the documentation, together with those that it refers to.

use crate::request::Form;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Which required fields of a body a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    All,
    AllButName,
    Nothing,
}

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

    /// The schema of a form: fields with a default are optional, and unknown fields are refused.
    pub fn of_form<F: Form>() -> Self {
        let mut schema = Self::of::<F>();
        let optional = |name: &str| F::DEFAULTED.iter().any(|known| known.trim_start_matches("r#") == name);
        if let Some(Value::Array(required)) = schema.value.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(optional));
        }
        for (name, default) in F::defaults() {
            let field = &mut schema.value["properties"][name.trim_start_matches("r#")];
            if field.is_object() {
                field["default"] = default;
            }
        }
        schema.value["additionalProperties"] = json!(false);
        schema
    }

    pub fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.name)})
    }

    /// The schema of a form as a route requires it.
    pub fn needing(&self, needs: Needs) -> Value {
        if needs == Needs::All {
            return self.value.clone();
        }
        let mut value = self.value.clone();
        if needs == Needs::Nothing
            && let Some(Value::Object(fields)) = value.get_mut("properties")
        {
            // An absent field is not changed.
            for field in fields.values_mut().filter_map(Value::as_object_mut) {
                field.remove("default");
            }
        }
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

    /// The name and schema of each field, and whether it is required.
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
