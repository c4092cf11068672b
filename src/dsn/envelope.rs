//! What a DSN comes in: a file of variables (`.env`), or what a platform's command line prints as JSON.
//!
//! Finds the DSN in it; what it says is read by [`super::parse`]. Errors name variables and nothing of their values.

use serde_json::Value;

/// The variable that platforms put a DSN into, unless somebody names another one.
pub const VARIABLE: &str = "DEFAULT_STORAGE_DSN";

/// Why no DSN was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// Nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// Text that begins like JSON and is none, or holds no variables.
    #[error("it is no JSON that holds variables, such as [{{\"name\": ..., \"value\": ...}}]")]
    Json,
    /// The variable is there without a value.
    #[error("{0} has no value there")]
    NoValue(String),
    /// The variable is not there.
    #[error("it holds no {0}{others}", others = others(.1))]
    Missing(String, Vec<String>),
    /// It can't be told which variable is meant.
    #[error("it holds several storage DSNs: {}", .0.join(", "))]
    Several(Vec<String>),
}

/// The DSN in `text`: of the variable `name`, else of [`VARIABLE`], else of the only variable whose name ends with
/// `_DSN`. A text that is neither a file of variables nor JSON is the DSN itself.
///
/// # Errors
/// [`NotFound`].
pub fn unwrap(text: &str, name: Option<&str>) -> Result<String, NotFound> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(NotFound::Empty);
    }
    if text.starts_with(['[', '{']) {
        let value = serde_json::from_str(text).map_err(|_| NotFound::Json)?;
        return choose(of_json(&value).ok_or(NotFound::Json)?, name);
    }
    match (of_lines(text), name) {
        (Some(variables), _) => choose(variables, name),
        (None, None) => Ok(text.to_owned()),
        (None, Some(name)) => match text.strip_prefix("export ").unwrap_or(text).trim_start().split_once('=') {
            Some((known, _)) if known.trim() == name => Ok(text.to_owned()),
            // Somebody who names a variable does not mean another one.
            Some((known, _)) if is_name(known.trim()) => choose(vec![(known.trim().to_owned(), None)], Some(name)),
            _ => Err(NotFound::Missing(name.to_owned(), Vec::new())),
        },
    }
}

/// Which DSNs are there instead. Other names are nobody's business.
fn others(dsns: &[String]) -> String {
    if dsns.is_empty() { String::new() } else { format!(", but {}", dsns.join(", ")) }
}

/// Names and values; a name without a value is there as well.
type Variables = Vec<(String, Option<String>)>;

fn choose(variables: Variables, name: Option<&str>) -> Result<String, NotFound> {
    let wanted = name.unwrap_or(VARIABLE);
    // The last one wins, as it does for a shell that reads the file.
    let exact = variables.iter().rposition(|(known, _)| known == wanted);
    let at = match (exact, name) {
        (Some(at), _) => at,
        (None, Some(name)) => {
            let known = variables.into_iter().map(|(known, _)| known).filter(|known| known.ends_with("_DSN"));
            return Err(NotFound::Missing(name.to_owned(), known.collect()));
        }
        (None, None) => {
            let dsns = variables.iter().enumerate().filter(|(_, (known, _))| known.ends_with("_DSN"));
            match dsns.map(|(at, _)| at).collect::<Vec<_>>()[..] {
                [at] => at,
                [] => return Err(NotFound::Missing(VARIABLE.to_owned(), Vec::new())),
                [..] => {
                    let all = variables.into_iter().map(|(known, _)| known);
                    return Err(NotFound::Several(all.filter(|known| known.ends_with("_DSN")).collect()));
                }
            }
        }
    };
    let (known, value) = &variables[at];
    let value = value.as_ref().filter(|value| !value.trim().is_empty());
    value.cloned().ok_or_else(|| NotFound::NoValue(known.clone()))
}

/// `[{"name": ..., "value": ...}]`, one such object, or `{"NAME": "VALUE"}`.
fn of_json(value: &Value) -> Option<Variables> {
    let pair = |object: &Value| {
        let name = object.get("name")?.as_str().filter(|name| is_name(name))?.to_owned();
        Some((name, object.get("value")?.as_str().map(str::to_owned)))
    };
    match value {
        Value::Array(all) => all.iter().map(pair).collect(),
        Value::Object(_) if value.get("name").is_some() => pair(value).map(|pair| vec![pair]),
        Value::Object(all) => {
            let named = all.iter().filter(|(name, _)| is_name(name));
            Some(named.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect())
        }
        _ => None,
    }
}

/// The lines of a file of variables. A single assignment is no file: what follows it may be a DSN that was wrapped.
fn of_lines(text: &str) -> Option<Variables> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (comments, lines): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('#'));
    let assigned = |line: &&str| {
        let bare = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = bare.split_once('=')?;
        let name = name.trim();
        is_name(name).then(|| (name.to_owned(), Some(value.trim().to_owned())))
    };
    let variables: Variables = lines.iter().filter_map(assigned).collect();
    (variables.len() > 1 || (variables.len() == 1 && !comments.is_empty())).then_some(variables)
}

/// Variables of storage are written in capitals; a piece of a wrapped DSN is not taken for one.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSN: &str = "s3://KEY:SECRET@bbb.s3.eu-west-1.amazonaws.com/";

    #[test]
    fn a_dsn_is_found_in_what_it_comes_in() {
        let table = [
            (DSN.to_owned(), None),
            (format!("\u{feff}  {DSN}\n"), None),
            (format!("DEFAULT_STORAGE_DSN='{DSN}'"), None),
            (format!("export LIVE_DSN='{DSN}'"), Some("LIVE_DSN")),
            (format!("# local\nDATABASE_URL=postgres://x\nexport DEFAULT_STORAGE_DSN=\"{DSN}\"\n"), None),
            (format!("A=1\nMEDIA_STORAGE_DSN={DSN}\n"), None),
            (format!("A=1\nX_STORAGE_DSN=s3://other\nMEDIA_STORAGE_DSN={DSN}\n"), Some("MEDIA_STORAGE_DSN")),
            (format!("DEFAULT_STORAGE_DSN=s3://old\nDEFAULT_STORAGE_DSN={DSN}\n"), None),
            (format!(r#"[{{"name": "DEFAULT_STORAGE_DSN", "value": "{DSN}", "environment": "test"}}]"#), None),
            (format!(r#"{{"name": "LIVE_STORAGE_DSN", "value": "{DSN}"}}"#), None),
            (format!(r#"{{"A": "1", "DEFAULT_STORAGE_DSN": "{DSN}", "n": 3}}"#), None),
        ];
        for (text, name) in table {
            let found = unwrap(&text, name).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(found.contains(DSN), "{text}: {found}");
            assert!(super::super::parse(&found, None).is_ok(), "{found}");
        }
    }

    #[test]
    fn a_wrapped_dsn_is_no_file_of_variables() {
        let wrapped = "DEFAULT_STORAGE_DSN=s3://KEY:SEC\nRET@bbb.s3.eu-west-1.amaz\nonaws.com/";
        assert_eq!(unwrap(wrapped, None).unwrap(), wrapped);
        assert!(super::super::parse(wrapped, None).is_ok());
    }

    #[test]
    fn what_is_missing_is_named_and_no_value_is() {
        let table = [
            (" \n", None, "it is empty"),
            ("[]", None, "it holds no DEFAULT_STORAGE_DSN"),
            (r#"[{"name": "DEFAULT_STORAGE_DSN", "value": null}]"#, None, "DEFAULT_STORAGE_DSN has no value there"),
            ("A=hunter2\nB=hunter2", None, "it holds no DEFAULT_STORAGE_DSN"),
            ("A_DSN=hunter2\nB_DSN=hunter2", None, "it holds several storage DSNs: A_DSN, B_DSN"),
            ("A_DSN=hunter2\nB_DSN=hunter2\nPASSWORD=hunter2", Some("C"), "it holds no C, but A_DSN, B_DSN"),
            ("LIVE_DSN=hunter2", Some("STAGING_DSN"), "it holds no STAGING_DSN, but LIVE_DSN"),
            ("s3://hunter2", Some("STAGING_DSN"), "it holds no STAGING_DSN"),
            ("DEFAULT_STORAGE_DSN=\nB=hunter2", None, "DEFAULT_STORAGE_DSN has no value there"),
            ("{\"hunter2", None, "it is no JSON that holds variables, such as [{\"name\": ..., \"value\": ...}]"),
        ];
        for (text, name, told) in table {
            let error = unwrap(text, name).unwrap_err().to_string();
            assert_eq!(error, told, "{text}");
        }
    }
}
