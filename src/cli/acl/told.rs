//! What the commands about ACLs tell, for people and as the JSON of `docs/json.md`. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::human;
use crate::cli::json::stage as stage_name;
use crate::model::Key;
use crate::replica::admin::{Acl, Canned, Grant, Level, Permission, Who};
use crate::sync::Stage;

/// What `set` came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Objects that got the ACL, or would.
    pub(super) set: u64,
    /// Objects that had it.
    pub(super) already: u64,
    pub(super) problems: u64,
}

/// How many objects have which ACL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    by_name: BTreeMap<&'static str, u64>,
    pub(super) objects: u64,
    pub(super) problems: u64,
}

/// What an ACL is called that has no name.
const OTHER: &str = "custom";

fn name(acl: &Acl) -> &'static str {
    acl.canned().map_or(OTHER, Canned::name)
}

impl Tally {
    pub(super) fn add(&mut self, acl: &Acl) {
        self.objects += 1;
        *self.by_name.entry(name(acl)).or_default() += 1;
    }

    /// `3 objects: 2 public-read, 1 private.`
    pub(super) fn text(&self) -> String {
        let mut parts: Vec<String> =
            self.by_name.iter().map(|(name, count)| format!("{} {name}", human::count(*count))).collect();
        if self.problems > 0 {
            parts.push(format!("{} with problems", human::count(self.problems)));
        }
        let colon = if parts.is_empty() { "" } else { ": " };
        format!("{}{colon}{}.", objects(self.objects), parts.join(", "))
    }

    pub(super) fn json(&self, place: &str) -> String {
        let (objects, by_name, problems) = (self.objects, &self.by_name, self.problems);
        let line = json!({ "v": 1, "type": "acl-summary", "command": "get", "place": place, "objects": objects, "acls": by_name, "problems": problems });
        line.to_string()
    }
}

fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{} objects", human::count(count)) }
}

fn who(who: &Who) -> (&'static str, Option<&str>) {
    match who {
        Who::Owner => ("owner", None),
        Who::Everybody => ("everybody", None),
        Who::SignedIn => ("signed-in", None),
        Who::Account(id) => ("account", Some(id)),
        Who::Other(name) => ("other", Some(name)),
    }
}

fn permission(permission: &Permission) -> &str {
    match permission {
        Permission::FullControl => "full-control",
        Permission::Read => "read",
        Permission::Write => "write",
        Permission::ReadAcl => "read-acl",
        Permission::WriteAcl => "write-acl",
        Permission::Other(name) => name,
    }
}

/// All of an object's ACL, for people.
pub(super) fn whole(shown: &str, acl: &Acl) -> String {
    let mut text = format!("{shown}: {}", name(acl));
    for Grant { who: grantee, permission: granted } in &acl.grants {
        let grantee = match who(grantee) {
            ("signed-in", _) => "everybody with an account of the service".to_owned(),
            (kind, None) => kind.to_owned(),
            (kind, Some(id)) => format!("{kind} {}", id.escape_debug()),
        };
        write!(text, "\n  {:<13} {grantee}", permission(granted).escape_debug().to_string())
            .expect("a String takes any text");
    }
    text
}

/// One line of many.
pub(super) fn row(key: &Key, acl: &Acl) -> String {
    format!("{:<26} {key}", name(acl))
}

/// `"type":"acl"`.
pub(super) fn acl(place: &str, key: &Key, acl: &Acl) -> String {
    let grants: Vec<Value> = acl
        .grants
        .iter()
        .map(|grant| {
            let (kind, id) = who(&grant.who);
            json!({ "who": kind, "id": id, "permission": permission(&grant.permission) })
        })
        .collect();
    json!({
        "v": 1,
        "type": "acl",
        "place": place,
        "key": key.as_str(),
        "acl": acl.canned().map(Canned::name),
        "public": acl.is_public(),
        "owner": acl.owner,
        "grants": grants,
    })
    .to_string()
}

/// `"type":"acl-action"`.
pub(super) fn action(place: &str, key: &Key, canned: Canned, stage: Stage) -> String {
    let stage = stage_name(stage);
    let line = json!({ "v": 1, "type": "acl-action", "place": place, "stage": stage, "key": key.as_str(), "acl": canned.name() });
    line.to_string()
}

/// The same for people.
pub(super) fn action_line(key: &Key, canned: Canned) -> String {
    format!("set {canned}  {key}")
}

/// `"type":"acl-summary"` of `set`.
pub(super) fn summary(place: &str, canned: Canned, sums: &Sums, stage: Stage) -> String {
    json!({
        "v": 1,
        "type": "acl-summary",
        "command": "set",
        "place": place,
        "stage": stage_name(stage),
        "acl": canned.name(),
        "set": sums.set,
        "already": sums.already,
        "problems": sums.problems,
    })
    .to_string()
}

/// The same for people.
pub(super) fn sums(canned: Canned, sums: &Sums, stage: Stage) -> String {
    let begin = match stage {
        Stage::Planned => "Would set",
        Stage::Done => "Set",
    };
    let mut text = match sums.set {
        0 if sums.already > 0 && sums.problems == 0 => "Nothing to do".to_owned(),
        set => format!("{begin} {canned} on {}", objects(set)),
    };
    if sums.already > 0 {
        let (count, had) = (objects(sums.already), if sums.already == 1 { "has" } else { "have" });
        write!(text, "; {count} {had} it already").expect("a String takes any text");
    }
    text.push('.');
    if sums.problems > 0 {
        write!(text, "\nProblems: {}", human::count(sums.problems)).expect("a String takes any text");
    }
    text
}

/// How public a container is, for people.
pub(super) fn container(shown: &str, level: Level) -> String {
    let what = match level {
        Level::Private => "private: nobody reads its blobs without credentials",
        Level::Objects => "public-read: everybody reads its blobs, and nobody lists them (access level \"Blob\")",
        Level::Listed => "public-read: everybody reads and lists its blobs (access level \"Container\")",
    };
    format!("{shown}: {what}")
}

/// `"type":"container-acl"`.
pub(super) fn container_json(place: &str, level: Level) -> String {
    let line = json!({ "v": 1, "type": "container-acl", "place": place, "acl": level.canned().name(), "listed": level == Level::Listed });
    line.to_string()
}

/// What became of a container, for people.
pub(super) fn container_set(shown: &str, (before, after): (Level, Level), stage: Stage) -> String {
    let word = |level: Level| match level {
        Level::Private => "private",
        Level::Objects => "public-read (access level \"Blob\")",
        Level::Listed => "public-read with listing (access level \"Container\")",
    };
    match stage {
        _ if before == after => format!("{shown} is {} already.", word(after)),
        Stage::Planned => {
            format!("Would make the whole container {shown} {}; it is {} now.", word(after), word(before))
        }
        Stage::Done => format!("Made the whole container {shown} {}; it was {}.", word(after), word(before)),
    }
}
