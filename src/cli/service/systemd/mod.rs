//! A unit of systemd. What it hardens is the text of the unit that the package has, so that there is one list.

use std::fmt::Write as _;
use std::path::Path;

use super::args::Scope;
use super::needs::Needs;
use super::rights::{HOMES, TEMPORARY, User};
use crate::cli::failure::Failure;
use crate::cli::setup::shown;

/// The unit of the package.
const PACKAGED: &str = include_str!("../../../../packaging/systemd/mediasync.service");
/// Where the files of credentials are, below the directory for configurations.
pub(super) const CREDENTIALS: &str = "mediasync/credentials";
/// What works for a service of a user, who can't make mounts or another user.
const FOR_USERS: [&str; 11] = [
    "NoNewPrivileges",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictAddressFamilies",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "LimitCORE",
    "TasksMax",
];

/// The name of the unit: jobs of their own have a unit of their own.
pub(super) fn name(jobs: &[String]) -> String {
    format!("{}.service", super::base_name(jobs))
}

/// The unit.
///
/// # Errors
/// A path or a name that no unit can hold.
pub(super) fn unit(needs: &Needs, scope: Scope) -> Result<String, Failure> {
    let mut unit = String::from(super::MARKER);
    for note in &needs.notes {
        write!(unit, "\n# Note: {}", note.replace(|c: char| c.is_control(), " ")).expect(WRITES);
    }
    let jobs = if needs.jobs.is_empty() { String::new() } else { format!(": {}", specifiers(&needs.jobs.join(", "))) };
    write!(unit, "\n[Unit]\nDescription=mediasync{jobs}\nWants=network-online.target\nAfter=network-online.target\n")
        .expect(WRITES);
    if scope == Scope::System {
        let mut mounts: Vec<&Path> = needs.writes.iter().chain(&needs.reads).map(AsRef::as_ref).collect();
        mounts.push(&needs.config);
        mounts.extend(needs.state.as_deref());
        writeln!(unit, "RequiresMountsFor={}", words(mounts)?).expect(WRITES);
    }
    write!(unit, "\n[Service]\nType=notify\nNotifyAccess=main\nExecStart={}\n", start(needs)?).expect(WRITES);
    unit.push_str(
        "ExecReload=/bin/kill -HUP $MAINPID\nWatchdogSec=60\nTimeoutStartSec=300\nTimeoutStopSec=90\n\
         Restart=on-failure\nRestartSec=5\nRestartPreventExitStatus=2\n",
    );
    for name in &needs.credentials {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            let message = format!("the credential {} can't stand in a unit", name.escape_debug());
            return Err(Failure::usage(message).hint("use letters, digits, -, _ and . in its name"));
        }
        let dir = if scope == Scope::System { "/etc" } else { "%E" };
        writeln!(unit, "LoadCredential={name}:{dir}/{CREDENTIALS}/{name}").expect(WRITES);
    }
    match scope {
        Scope::System => system(&mut unit, needs)?,
        Scope::User => {
            // What changes who sees which files would need rights that a user's manager does not have.
            let lines = hardening().filter(|line| FOR_USERS.iter().any(|key| line.split('=').next() == Some(key)));
            lines.for_each(|line| unit.extend([line, "\n"]));
            if !needs.writes.is_empty() {
                unit.push_str("SystemCallFilter=@chown\n");
            }
        }
    }
    let target = if scope == Scope::System { "multi-user.target" } else { "default.target" };
    write!(unit, "\n[Install]\nWantedBy={target}\n").expect(WRITES);
    Ok(unit)
}

const WRITES: &str = "a string takes everything";

fn in_homes(path: &Path) -> bool {
    HOMES.iter().any(|home| path.starts_with(home))
}

/// Whether the service sees it only where it is bound into it.
pub(super) fn hidden(path: &Path) -> bool {
    in_homes(path) || TEMPORARY.iter().any(|dir| path.starts_with(dir))
}

/// Who it runs as, what it sees and what it may write.
fn system(unit: &mut String, needs: &Needs) -> Result<(), Failure> {
    match &needs.user {
        User::Named(user) => writeln!(unit, "User={}", specifiers(user)).expect(WRITES),
        User::Dynamic | User::Unnamed => unit.push_str("DynamicUser=yes\n"),
    }
    let hidden = |path: &&Path| hidden(path);
    let mut writes: Vec<&Path> = needs.writes.iter().map(AsRef::as_ref).collect();
    if let Some(state) = needs.state.as_deref() {
        writes.push(state);
    } else {
        let dir = super::state_below(Path::new("mediasync"), &needs.jobs);
        write!(unit, "StateDirectory={}\nStateDirectoryMode=0700\n", dir.display()).expect(WRITES);
    }
    let mut reads: Vec<&Path> = needs.reads.iter().map(AsRef::as_ref).collect();
    reads.extend([needs.config.as_path(), &needs.program].into_iter().filter(hidden));
    let any_home = reads.iter().chain(&writes).any(|path| in_homes(path));
    let (bound_reads, reads): (Vec<&Path>, Vec<&Path>) = reads.into_iter().partition(hidden);
    let (bound_writes, writes): (Vec<&Path>, Vec<&Path>) = writes.into_iter().partition(hidden);
    for (key, paths) in [
        ("ReadOnlyPaths", reads),
        ("ReadWritePaths", writes),
        ("BindReadOnlyPaths", bound_reads),
        ("BindPaths", bound_writes),
    ] {
        if !paths.is_empty() {
            writeln!(unit, "{key}={}", words(paths)?).expect(WRITES);
        }
    }
    let read_only = needs.writes.is_empty();
    unit.push_str(if read_only { "UMask=0077\n" } else { "UMask=0022\n" });
    for line in hardening() {
        match line {
            "ProtectHome=read-only" => unit.push_str(if any_home { "ProtectHome=tmpfs" } else { "ProtectHome=yes" }),
            // A replaced file keeps its owner: other users have to be seen as who they are.
            "PrivateUsers=yes" if !read_only => unit.push_str("PrivateUsers=no"),
            line => unit.push_str(line),
        }
        unit.push('\n');
    }
    if !read_only {
        unit.push_str("SystemCallFilter=@chown\n");
    }
    Ok(())
}

/// The lines of the packaged unit that harden it, after their comment.
fn hardening() -> impl Iterator<Item = &'static str> {
    let begins = PACKAGED.find("# Hardening").expect("the packaged unit has this part");
    PACKAGED[begins..].lines().skip_while(|line| line.starts_with('#')).take_while(|line| !line.is_empty())
}

fn start(needs: &Needs) -> Result<String, Failure> {
    let program = text(&needs.program)?;
    if program.contains(['"', '\'', '\\']) {
        let message = format!("systemd starts no program at {}", shown(&needs.program));
        return Err(Failure::usage(message).hint("put it where the path has no quotes and no backslash"));
    }
    // Variables are not replaced in the program itself.
    let mut line = quoted(&specifiers(program), "\"");
    line.push_str(" daemon --config ");
    line.push_str(&argument(text(&needs.config)?));
    if let Some(state) = &needs.state {
        line.push_str(" --state-dir ");
        line.push_str(&argument(text(state)?));
    }
    for job in &needs.jobs {
        line.push(' ');
        line.push_str(&argument(job));
    }
    Ok(line)
}

/// Paths as a list of words (systemd.syntax(7)): a backslash stands for the character after it, `%` begins a specifier.
fn words(paths: Vec<&Path>) -> Result<String, Failure> {
    let mut paths = paths;
    paths.sort();
    paths.dedup();
    let words: Result<Vec<String>, Failure> = paths
        .into_iter()
        .map(|path| {
            let path = specifiers(&text(path)?.replace('\\', r"\\"));
            // In lists of paths an escaped quote is not understood by every version; the other kind of quotes is.
            Ok(quoted(&path.replace('"', r#""'"'""#), "'"))
        })
        .collect();
    Ok(words?.join(" "))
}

/// An argument of a command line (systemd.service(5), "COMMAND LINES"): `$` begins a variable there, too.
fn argument(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('"', r#"\""#).replace('$', "$$");
    quoted(&specifiers(&escaped), "'")
}

fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// In double quotes, unless it has nothing that they are for; `also` are characters that need them besides.
fn quoted(text: &str, also: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/_.,@+-%=$".contains(c);
    if !text.is_empty() && text.chars().all(|c| plain(c) && !also.contains(c)) {
        return text.to_owned();
    }
    format!("\"{text}\"")
}

/// A path as text that a line can hold.
fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| {
        Failure::usage(format!("{} can't stand in a unit", shown(path)))
            .hint("rename it: line breaks, control characters and bytes that are no text have no form there")
    })
}

#[cfg(test)]
mod tests;
