//! `null`: gives back what it is given. It asks nobody, so that templates and tests can have a data source.

use async_trait::async_trait;
use image_action_engine::run::RunContext;
use image_action_engine::{Block, Config, DataSource, PrepareContext, Result};
use image_action_lang::{Diagnostics, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gives back what it is given.
#[derive(Config)]
pub struct NullData {
    /// A text, which `output` is then.
    #[config(required)]
    input: String,
}

/// Makes it.
///
/// # Errors
/// None.
pub fn make(_: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn DataSource>, Diagnostics> {
    Ok(Box::new(NullData::decode(body)))
}

#[async_trait]
impl DataSource for NullData {
    fn output_type(&self) -> Type {
        Type::object([(Arc::from("output"), Type::String)])
    }
    async fn read(&self, _: &RunContext) -> Result<Value> {
        Ok(Value::object(BTreeMap::from([(Arc::from("output"), Value::string(&self.input))])))
    }
}
