//! Runtimes. Packs contain them; the API only reads them.

use super::{
    draft::{Draft, definition, in_pack},
    text,
};
use crate::{FieldErrors, PackRef, RuntimeId, form, spelled::spelled};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// How actions of one kind are run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Runtime {
    pub id: RuntimeId,
    pub r#ref: String,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub label: String,
    pub description: Option<String>,
    pub kind: RuntimeKind,
    /// The program and the arguments in front of an action's entry point. Empty for Python and JavaScript: the interpreter in
    /// `PATH`.
    pub command: Vec<String>,
    /// The same for an entry point that is a file of the pack. Empty: as `command`.
    pub file_command: Vec<String>,
    pub enabled: bool,
    #[serde(skip)]
    pub managed: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

spelled! {
    RuntimeKind {
        /// A child process.
        Process = "process",
        /// Built into the worker.
        Native = "native",
        /// A child process that calls a function of a Python program.
        Python = "python",
        /// A child process that calls a function of a JavaScript module.
        Node = "node",
    }
}

form! {
    #[derive(Clone, Serialize)]
    pub struct RuntimeDraft {
        r#ref: String,
        pack_ref: Option<String>,
        label: Option<String>,
        description: Option<String>,
        kind: RuntimeKind as (RuntimeKind::Process),
        command: Vec<String> = Vec::<String>::new(),
        file_command: Vec<String> = Vec::<String>::new(),
        enabled: bool = true,
    }
}

definition!(Runtime, RuntimeDraft, "runtime");

impl Draft for RuntimeDraft {
    in_pack!();
}

impl RuntimeDraft {
    pub(super) fn of(runtime: &Runtime) -> Self {
        Self {
            r#ref: runtime.r#ref.clone(),
            pack_ref: Some(runtime.pack_ref.to_string()),
            label: Some(runtime.label.clone()),
            description: runtime.description.clone(),
            kind: runtime.kind,
            command: runtime.command.clone(),
            file_command: runtime.file_command.clone(),
            enabled: runtime.enabled,
        }
    }

    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.r#ref)
    }

    pub fn validate(&self) -> Result<(), FieldErrors> {
        let (label, description) = (self.label.as_deref(), self.description.as_deref());
        let mut errors = text::common(&self.r#ref, self.pack_ref.as_deref(), label, description);
        match self.kind {
            RuntimeKind::Process if self.command.first().is_none_or(|program| program.trim().is_empty()) => {
                errors.add("command", "must name the program to start, for example [/bin/sh, -c]");
            }
            RuntimeKind::Native if !self.command.is_empty() => {
                errors.add("command", "must be left out: a native runtime starts no program");
            }
            RuntimeKind::Python | RuntimeKind::Node if self.command.len() > 1 => {
                errors.add(
                    "command",
                    "must be left out or name the interpreter only, for example [/usr/bin/python3.12]",
                );
            }
            RuntimeKind::Process | RuntimeKind::Native | RuntimeKind::Python | RuntimeKind::Node => {}
        }
        match self.file_command.first() {
            Some(_) if self.kind == RuntimeKind::Native => {
                errors.add("file_command", "must be left out: a native runtime starts no program");
            }
            Some(program) if program.trim().is_empty() => {
                errors.add("file_command", "must name the program to start, for example [/bin/sh]");
            }
            _ => {}
        }
        errors.into_result()
    }
}
