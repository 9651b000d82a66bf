//! The schema of the state of a camera. It is made from a state, so that it has the fields that this version sends.

use serde_json::{Map, Value, json};

/// Name of the schema.
pub(super) const LEDGER_SCHEMA: &str = "oaktap.Ledger";

/// Returns a JSON schema that a JSON text conforms to.
pub(super) fn schema_of(text: &str) -> Vec<u8> {
    let value = serde_json::from_str(text).unwrap_or(Value::Null);
    serde_json::to_vec(&schema(&value)).unwrap_or_default()
}

fn schema(value: &Value) -> Value {
    match value {
        // Has a value at other times.
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        // A number without a fraction may have one at other times.
        Value::Number(_) => json!({"type": "number"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(items) => json!({"type": "array", "items": items.first().map_or_else(|| json!({}), schema)}),
        Value::Object(fields) => {
            let properties: Map<_, _> = fields.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
            json!({"type": "object", "properties": properties})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_has_the_fields_of_the_text() {
        let text = r#"{"fps":40,"text":"a","online":true,"lanes":[{"name":"view"}],"none":[],"error":null}"#;
        let found: Value = serde_json::from_slice(&schema_of(text)).expect("JSON");
        let expected = json!({"type": "object", "properties": {
            "fps": {"type": "number"},
            "text": {"type": "string"},
            "online": {"type": "boolean"},
            "lanes": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "none": {"type": "array", "items": {}},
            "error": {},
        }});
        assert_eq!(found, expected);
    }
}
