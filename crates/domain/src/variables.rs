//! Which parameters of an action become environment variables of its process.
//!
//! Only those that the schema names in `properties`, with names of lower-case letters, digits and `_`. So neither `PATH`
//! nor `LD_PRELOAD` can be set. But some programs read lower-case names too: curl obeys `http_proxy`, npm obeys
//! `npm_config_script_shell`. The value of such a parameter would control these programs, so it never becomes a
//! variable. Every parameter is in the JSON on standard input anyway.

use serde_json::Value;

/// Families of variables that programs read in lower case, or in any case.
const PREFIXES: [&str; 28] = [
    "attune_",
    "npm_",
    "pnpm_",
    "yarn_",
    "bun_",
    "corepack_",
    "node_options",
    "cypress_",
    "git_",
    "pip_",
    "uv_",
    "poetry_",
    "virtualenv_",
    "conda_",
    "cargo_",
    "rustup_",
    "gem_",
    "bundle_",
    "composer_",
    "ld_",
    "dyld_",
    "glibc_",
    "curl_",
    "fish_",
    "dotnet_",
    "aspnetcore_",
    "complus_",
    "spring_",
];

/// Variables of loaders and interpreters; a program that ignores case may take these in lower case as well.
const NAMES: [&str; 25] = [
    "bash_env",
    "shellopts",
    "bashopts",
    "ifs",
    "zdotdir",
    "histchars",
    "pythonpath",
    "pythonhome",
    "pythonstartup",
    "pythonbreakpoint",
    "pythoninspect",
    "perllib",
    "perl5lib",
    "perl5opt",
    "perl5db",
    "rubylib",
    "rubyopt",
    "node_path",
    "classpath",
    "java_tool_options",
    "jdk_java_options",
    "gconv_path",
    "locpath",
    "nlspath",
    "auto_resume",
];

/// The parameters that become variables.
pub fn of(parameters_schema: &Value) -> impl Iterator<Item = &str> {
    properties(parameters_schema).filter(|name| is_plain(name) && !is_steering(name))
}

/// Whether an action may have a secret in this variable: none that the worker or a loader uses.
pub fn is_available(name: &str) -> bool {
    let is_upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let starts_well = name.starts_with(|c: char| c.is_ascii_uppercase());
    let taken = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"].contains(&name)
        || ["ATTUNE_", "LD_", "DYLD_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name.to_ascii_lowercase().as_str());
    starts_well && name.len() <= 64 && name.chars().all(is_upper) && !taken
}

/// A warning for authors: properties whose names control programs.
pub fn warnings(parameters_schema: &Value) -> Vec<String> {
    let steering = properties(parameters_schema).filter(|name| is_steering(&name.to_ascii_lowercase()));
    steering
        .map(|name| {
            format!("the parameter {name:?} is on standard input only, not in the environment: programs such as curl, git or npm read variables of that name as their configuration")
        })
        .collect()
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a name matches `http_proxy`, `no_proxy`, `http_proxy_user` and the like, one of the families, or one of the single
/// names.
fn is_steering(name: &str) -> bool {
    name.ends_with("_proxy")
        || name.contains("_proxy_")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn schema(names: &[&str]) -> Value {
        let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        json!({"type": "object", "properties": properties})
    }

    #[test]
    fn plain_names_of_properties_become_variables() {
        let names = [
            "message", "url", "h_2", "proxy", "host", "path", "digit", "pipeline", "old_file",
        ];
        assert_eq!(of(&schema(&names)).collect::<Vec<_>>(), names);
        assert!(warnings(&schema(&names)).is_empty());
    }

    #[test]
    fn undeclared_parameters_do_not_become_variables() {
        for schema in [
            json!(null),
            json!({"type": "object"}),
            json!({"properties": []}),
            json!({"required": ["a"], "additionalProperties": {"type": "string"}, "patternProperties": {"a": {}}}),
        ] {
            assert_eq!(of(&schema).count(), 0, "{schema}");
        }
    }

    #[test]
    fn names_that_control_programs_do_not_become_variables() {
        let steering = [
            "http_proxy",
            "https_proxy",
            "ftp_proxy",
            "all_proxy",
            "no_proxy",
            "rsync_proxy",
            "socks_proxy",
            "wss_proxy",
            "http_proxy_user",
            "npm_config_script_shell",
            "npm_config_registry",
            "npm_execpath",
            "pnpm_config_store",
            "yarn_registry",
            "git_ssh_command",
            "git_dir",
            "pip_index_url",
            "pip_target",
            "ld_preload",
            "ld_library_path",
            "dyld_insert_libraries",
            "pythonpath",
            "perl5lib",
            "rubyopt",
            "node_options",
            "bash_env",
            "cargo_home",
            "bundle_gemfile",
            "gem_home",
            "curl_home",
            "uv_index_url",
            "ifs",
            "fish_function_path",
            "cypress_baseurl",
            "java_tool_options",
            "dotnet_startup_hooks",
        ];
        for name in steering {
            assert_eq!(of(&schema(&[name])).count(), 0, "{name}");
            assert!(warnings(&schema(&[name]))[0].contains(name), "{name}");
        }
    }

    #[test]
    fn names_in_capitals_or_with_other_characters_do_not_become_variables() {
        let names = [
            "PATH",
            "LD_PRELOAD",
            "BASH_ENV",
            "Path",
            "1a",
            "_a",
            "a-b",
            "a=b",
            "a b",
            "",
            "ä",
            "a\0",
            "aB",
        ];
        assert_eq!(of(&schema(&names)).count(), 0);
    }
}
