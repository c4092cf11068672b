//! A property list for launchd. Written from its manual, and never run on macOS.

use std::fmt::Write as _;
use std::path::Path;

use super::args::Scope;
use super::needs::Needs;
use super::rights::User;
use crate::cli::failure::Failure;
use crate::cli::setup::shown;

/// The label, which is also the name of the file.
pub(super) fn label(jobs: &[String]) -> String {
    format!("local.{}", super::base_name(jobs))
}

/// The property list (launchd.plist(5)).
///
/// # Errors
/// A path that no XML can hold.
pub(super) fn plist(needs: &Needs, scope: Scope) -> Result<String, Failure> {
    let mut arguments = vec![path(&needs.program)?, "daemon".to_owned(), "--config".to_owned(), path(&needs.config)?];
    if let Some(state) = &needs.state {
        arguments.extend(["--state-dir".to_owned(), path(state)?]);
    }
    arguments.extend(needs.jobs.iter().cloned());
    let mut keys = format!("    <key>Label</key>\n    <string>{}</string>\n", xml(&label(&needs.jobs)));
    keys.push_str("    <key>ProgramArguments</key>\n    <array>\n");
    for argument in &arguments {
        writeln!(keys, "        <string>{}</string>", xml(argument)).expect("a string takes everything");
    }
    keys.push_str("    </array>\n");
    if let (Scope::System, User::Named(user)) = (scope, &needs.user) {
        writeln!(keys, "    <key>UserName</key>\n    <string>{}</string>", xml(user))
            .expect("a string takes everything");
    }
    // XML has no double hyphen in comments.
    let mut notes = String::new();
    for note in &needs.notes {
        write!(notes, "\n     Note: {}", xml(note).replace("--", "- -")).expect("a string takes everything");
    }
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {} -->
<plist version="1.0">
<dict>
{keys}    <key>RunAtLoad</key>
    <true/>
    <key>KeepAlive</key>
    <dict>
        <key>SuccessfulExit</key>
        <false/>
    </dict>
    <key>ThrottleInterval</key>
    <integer>10</integer>
    <key>ExitTimeOut</key>
    <integer>90</integer>
    <key>ProcessType</key>
    <string>Background</string>
</dict>
</plist>
"#,
        super::MARKER.trim_start_matches("# ").to_owned() + &notes,
    ))
}

fn path(path: &Path) -> Result<String, Failure> {
    let text =
        path.to_str().filter(|text| !text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')));
    text.map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("{} can't stand in a property list", shown(path)))
            .hint("rename it: line breaks, control characters and bytes that are no text have no form there")
    })
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_what_no_xml_holds_is_refused() {
        assert_eq!(xml("a<b>&\"'"), "a&lt;b&gt;&amp;\"'");
        assert_eq!(path(Path::new("/a b/é$%\"")).unwrap(), "/a b/é$%\"");
        for bad in ["/a\nb", "/\u{1b}", "/\u{ffff}"] {
            assert!(path(Path::new(bad)).unwrap_err().message.ends_with("can't stand in a property list"));
        }
    }
}
