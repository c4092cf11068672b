//! Who a service runs as, and whether that user can read and write what it has to: by owners, groups and permissions, as the
//! system looks at them. Lists of access control may allow more; they are not looked at.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::args::{Manager, Scope};
use crate::cli::setup::shown;
use crate::cli::shell;

/// The user that the package makes.
pub(super) const OWN_USER: &str = "mediasync";
/// Where people's own files are: hidden from the service (`ProtectHome=`), except for what it needs.
pub(super) const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What a service has for itself (`PrivateTmp=`), but for what it needs.
pub(super) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Who a service runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum User {
    /// A user of this machine, by name or number.
    Named(String),
    /// One that is made while it runs: nobody else has its rights.
    Dynamic,
    /// Nobody is named: whoever prints it, or root as a service of a system without such users.
    Unnamed,
}

/// The users and groups of a machine.
pub(super) struct Machine {
    /// The text of `/etc/passwd`.
    pub(super) users: String,
    /// The text of `/etc/group`.
    pub(super) groups: String,
}

/// What a service is to be able to do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// A file, or a directory with all that is in it.
    All,
    /// A file with secrets: nobody else may.
    Secrets,
}

/// A user, as permissions look at it; without a number it is nobody that the machine knows.
struct Reader {
    name: String,
    number: Option<u32>,
    groups: BTreeSet<u32>,
    group: String,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    /// The user of `/etc/passwd` of which a field has this text.
    fn user(&self, field: usize, text: &str) -> Option<Vec<&str>> {
        self.users.lines().map(|line| line.split(':').collect()).find(|user: &Vec<&str>| user.get(field) == Some(&text))
    }

    fn name(&self, number: u32) -> String {
        let number = number.to_string();
        self.user(2, &number).map_or(number.clone(), |user| user[0].to_owned())
    }

    fn group_name(&self, number: &str) -> String {
        let mut groups = self.groups.lines().map(|line| line.split(':'));
        let found = groups.find_map(|mut group| {
            let name = group.next()?;
            (group.nth(1) == Some(number)).then_some(name)
        });
        found.unwrap_or(number).to_owned()
    }

    fn reader(&self, name: &str) -> Reader {
        let Some(user) = self.user(0, name).or_else(|| self.user(2, name)) else {
            return Reader {
                name: name.to_owned(),
                number: name.parse().ok(),
                groups: BTreeSet::new(),
                group: name.to_owned(),
            };
        };
        let own = user.get(3).copied().unwrap_or_default();
        let member = self.groups.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let is_in = fields.get(3)?.split(',').any(|member| member == user[0]);
            if is_in { fields[2].parse().ok() } else { None }
        });
        Reader {
            name: user[0].to_owned(),
            number: user.get(2).and_then(|number| number.parse().ok()),
            groups: member.chain(own.parse()).collect(),
            group: self.group_name(own),
        }
    }

    /// Who the service runs as, by whom what it writes belongs to; and what a person has to do about it.
    pub(super) fn chosen(
        &self,
        writes: &BTreeSet<PathBuf>,
        (manager, scope): (Manager, Scope),
        notes: &mut Vec<String>,
    ) -> User {
        if scope == Scope::User {
            return User::Unnamed;
        }
        let owners: BTreeSet<u32> = writes.iter().filter_map(|path| Some(fs::metadata(path).ok()?.uid())).collect();
        let own = match manager {
            _ if self.user(0, OWN_USER).is_some() => User::Named(OWN_USER.to_owned()),
            Manager::Systemd => User::Dynamic,
            Manager::Launchd => User::Unnamed,
        };
        let all: Vec<String> = writes.iter().map(|path| shell::path(&path.display().to_string())).collect();
        let all = all.join(" ");
        let mut each = owners.iter();
        match (each.next(), each.next(), &own) {
            (None, ..) | (Some(0), None, User::Unnamed) => own,
            (Some(0), None, User::Named(user)) => {
                notes.push(format!("what it writes belongs to root, and it runs as {user}: chown -R {user}: {all}"));
                own
            }
            (Some(0), None, User::Dynamic) => {
                notes.push(format!(
                    "what it writes belongs to root, and the user of this unit (DynamicUser=) exists only while it runs \
                     and can't write there: make one, give it what is written, and print the unit again: \
                     useradd --system {OWN_USER}; chown -R {OWN_USER}: {all}"
                ));
                own
            }
            (Some(owner), None, _) => User::Named(self.name(*owner)),
            (Some(_), Some(_), _) => {
                let names: Vec<String> = owners.iter().map(|owner| self.name(*owner)).collect();
                let names = names.join(", ");
                let runs = match &own {
                    User::Named(user) => format!("it runs as {user}"),
                    User::Dynamic => "the user of this unit (DynamicUser=) is none of them".to_owned(),
                    User::Unnamed => "it runs as root".to_owned(),
                };
                notes.push(format!(
                    "what it writes belongs to several users ({names}), and {runs}: make a unit for the jobs of each of \
                     them (service install JOB), or give all of it to one"
                ));
                own
            }
        }
    }

    /// What has to be done so that the service can read a path; `None` if it can, or nobody knows.
    pub(super) fn to_read(&self, path: &Path, what: Reads, user: &User) -> Option<String> {
        let reader = match user {
            User::Named(name) => self.reader(name),
            User::Dynamic => {
                Reader { name: String::new(), number: None, groups: BTreeSet::new(), group: String::new() }
            }
            User::Unnamed => return None,
        };
        let named = shell::path(&path.display().to_string());
        // What is bound into the service's own directories can be reached there.
        let is_bound = HOMES.iter().chain(&TEMPORARY).any(|dir| path.starts_with(dir));
        let above = path.ancestors().skip(1).filter(|_| !is_bound);
        let closed = above.filter(|dir| !reader.may(dir, 0o1)).last();
        let who = if *user == User::Dynamic { "the user of this unit (DynamicUser=)" } else { &reader.name };
        if let Some(dir) = closed {
            let way = format!("chmod o+x {}", shell::path(&dir.display().to_string()));
            return Some(format!("{who} can't read {}, because it may not enter {}: {way}", shown(path), shown(dir)));
        }
        let is_dir = path.is_dir();
        if reader.may(path, if is_dir { 0o5 } else { 0o4 }) {
            return None;
        }
        let group = &reader.group;
        let owner = fs::metadata(path).ok()?.uid();
        let way = match (user, what, is_dir) {
            (User::Dynamic, Reads::Secrets, _) => format!(
                "put what is secret into credentials (credential:NAME), or make a user and print the unit again: \
                 useradd --system {OWN_USER}"
            ),
            (User::Dynamic, Reads::All, true) => format!("chmod -R o+rX {named}"),
            (User::Dynamic, Reads::All, false) => format!("chmod o+r {named}"),
            (_, _, true) => format!("chgrp -R {group} {named}; chmod -R g+rX {named}"),
            // Who could change it could let the service do anything.
            (_, Reads::Secrets, false) if Some(owner) != reader.number && owner != 0 => {
                format!("chown root:{group} {named}; chmod 640 {named}")
            }
            (_, _, false) => format!("chgrp {group} {named}; chmod 640 {named}"),
        };
        Some(format!("{who} can't read {}: {way}", shown(path)))
    }

    /// What has to be done so that the service can write into its state directory.
    pub(super) fn to_write(&self, dir: &Path, user: &User) -> Option<String> {
        let User::Named(name) = user else { return None };
        let reader = self.reader(name);
        if reader.may(dir, 0o7) {
            return None;
        }
        let named = shell::path(&dir.display().to_string());
        Some(format!("{name} can't write into {}: chown -R {name}: {named}", shown(dir)))
    }
}

impl Reader {
    /// Whether it has these rights (`0o4` to read, `0o2` to write, `0o1` to enter). What is not there is told elsewhere.
    fn may(&self, path: &Path, rights: u32) -> bool {
        let Ok(found) = fs::metadata(path) else { return true };
        let mode = found.permissions().mode();
        let of_it = match self.number {
            Some(0) => 0o7,
            Some(number) if number == found.uid() => mode >> 6,
            _ if self.groups.contains(&found.gid()) => mode >> 3,
            _ => mode,
        };
        of_it & rights == rights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which whoever runs the tests is no member of the service's group.
    fn machine() -> Machine {
        Machine {
            users: "root:x:0:0::/root:/bin/sh\nweb:x:4242:4343::/:/bin/false\nother:x:4244:4244::/:/bin/false\n"
                .to_owned(),
            groups: "root:x:0:\nweb-data:x:4343:\nmore:x:4545:nobody,web\n".to_owned(),
        }
    }

    /// A file with permissions.
    fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("con fig.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        (dir, file)
    }

    #[test]
    fn what_the_user_of_the_service_can_t_read_is_told_with_the_way_out() {
        let machine = machine();
        let web = User::Named("web".to_owned());
        let told = |mode: u32, what: Reads, user: &User| {
            let (_dir, file) = file(mode);
            let told = machine.to_read(&file, what, user)?;
            Some(told.replace(&*file.to_string_lossy(), "F"))
        };
        assert_eq!(told(0o644, Reads::All, &web), None);
        assert_eq!(told(0o600, Reads::All, &web).unwrap(), "web can't read F: chgrp web-data 'F'; chmod 640 'F'");
        let is_root = fs::metadata(file(0o600).0.path()).unwrap().uid() == 0;
        let way = if is_root { "chgrp web-data" } else { "chown root:web-data" };
        let secrets = told(0o600, Reads::Secrets, &web).unwrap();
        assert_eq!(secrets, format!("web can't read F: {way} 'F'; chmod 640 'F'"));
        let dynamic = told(0o600, Reads::All, &User::Dynamic).unwrap();
        assert_eq!(dynamic, "the user of this unit (DynamicUser=) can't read F: chmod o+r 'F'");
        assert!(told(0o600, Reads::Secrets, &User::Dynamic).unwrap().contains("credential:NAME"));
        for user in [User::Named("root".to_owned()), User::Unnamed] {
            assert_eq!(told(0o000, Reads::Secrets, &user), None, "{user:?}");
        }
    }

    #[test]
    fn a_directory_on_the_way_that_is_closed_is_named() {
        let tests = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(tests.parent().unwrap()).unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        if HOMES.iter().chain(&TEMPORARY).any(|hidden| file.starts_with(hidden)) {
            return;
        }
        let told = machine().to_read(&file, Reads::All, &User::Named("web".to_owned())).unwrap();
        assert!(
            told.contains("web can't read ") && told.contains("may not enter ") && told.contains(": chmod o+x /"),
            "{told}"
        );
    }

    #[test]
    fn rights_come_from_the_first_of_owner_group_and_others_that_fits() {
        let (_dir, file) = file(0o604);
        let found = fs::metadata(&file).unwrap();
        let reader = |number: u32, groups: &[u32]| Reader {
            name: "x".to_owned(),
            number: Some(number),
            groups: groups.iter().copied().collect(),
            group: "x".to_owned(),
        };
        assert!(reader(found.uid(), &[]).may(&file, 0o6));
        assert!(!reader(4242, &[found.gid()]).may(&file, 0o4), "its group may less than others");
        assert!(reader(4242, &[4343]).may(&file, 0o4) && !reader(4242, &[4343]).may(&file, 0o2));
        assert!(reader(0, &[]).may(&file, 0o7));
        let groups = machine().reader("web").groups;
        assert_eq!(groups.into_iter().collect::<Vec<_>>(), [4343, 4545]);
        assert_eq!(machine().reader("4242").name, "web");
    }

    #[test]
    fn what_belongs_to_root_is_told_as_each_kind_of_service_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let owner = fs::metadata(dir.path()).unwrap().uid();
        let writes: BTreeSet<PathBuf> = [dir.path().to_owned()].into();
        let chosen = |machine: &Machine, manager, scope| {
            let mut notes = Vec::new();
            (machine.chosen(&writes, (manager, scope), &mut notes), notes.join("; "))
        };
        let (plain, mut packaged) = (machine(), machine());
        packaged.users.push_str("mediasync:x:77:77::/:/bin/false\n");
        for manager in [Manager::Systemd, Manager::Launchd] {
            assert_eq!(chosen(&plain, manager, Scope::User), (User::Unnamed, String::new()));
        }
        if owner != 0 {
            // Only root can give files to root.
            let named = User::Named(plain.name(owner));
            assert_eq!(chosen(&plain, Manager::Systemd, Scope::System), (named, String::new()));
            return;
        }
        let path = dir.path().display();
        let (user, note) = chosen(&plain, Manager::Systemd, Scope::System);
        assert_eq!(user, User::Dynamic);
        assert!(note.ends_with(&format!("useradd --system mediasync; chown -R mediasync: {path}")), "{note}");
        let (user, note) = chosen(&packaged, Manager::Systemd, Scope::System);
        assert_eq!(user, User::Named("mediasync".to_owned()));
        assert!(note.ends_with(&format!("it runs as mediasync: chown -R mediasync: {path}")), "{note}");
        assert_eq!(
            chosen(&plain, Manager::Launchd, Scope::System),
            (User::Unnamed, String::new()),
            "launchd runs it as root"
        );
    }
}
