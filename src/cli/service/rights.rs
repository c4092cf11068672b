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

/// The unit that a person may add to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit<'a> {
    /// A unit of systemd, by its name.
    Systemd(&'a str),
    /// One that can't say which groups it has.
    Other,
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

    /// A user as permissions look at it; `None` for whoever prints the unit.
    fn reader_of(&self, user: &User) -> Option<Reader> {
        match user {
            User::Named(name) => Some(self.reader(name)),
            User::Dynamic => {
                let name = "the user of this unit (DynamicUser=)".to_owned();
                Some(Reader { name, number: None, groups: BTreeSet::new(), group: String::new() })
            }
            User::Unnamed => None,
        }
    }

    /// How a service gets the groups that already have what it may not; `None` where that is not all that it takes. Root's
    /// group is nobody's way.
    fn by_groups(&self, reader: &Reader, steps: &[(&Path, u32)], unit: Unit<'_>) -> Option<String> {
        let Unit::Systemd(unit) = unit else { return None };
        let mut groups = BTreeSet::new();
        for (path, rights) in steps.iter().filter(|(path, rights)| !reader.may(path, *rights)) {
            let found = fs::metadata(path).ok()?;
            let is_open = found.permissions().mode() >> 3 & rights == *rights;
            if !is_open || found.gid() == 0 || reader.number == Some(found.uid()) {
                return None;
            }
            groups.insert(self.group_name(&found.gid().to_string()));
        }
        let groups = groups.into_iter().collect::<Vec<_>>().join(" ");
        Some(format!("SupplementaryGroups={groups} in [Service] (systemctl edit {unit})"))
    }

    /// Who the service runs as, by whom what it writes belongs to; and what a person has to do about it.
    pub(super) fn chosen(
        &self,
        writes: &BTreeSet<PathBuf>,
        (manager, scope, unit): (Manager, Scope, Unit<'_>),
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
        let steps: Vec<(&Path, u32)> = writes.iter().map(|path| (path.as_path(), 0o7)).collect();
        let (may_write, by_groups) = match &own {
            User::Named(user) => {
                let reader = self.reader(user);
                let way = self.by_groups(&reader, &steps, unit);
                (steps.iter().all(|(path, rights)| reader.may(path, *rights)), way)
            }
            User::Dynamic | User::Unnamed => (false, None),
        };
        let or =
            by_groups.map_or_else(String::new, |way| format!("; or let it have the group that may write there: {way}"));
        let all: Vec<String> = writes.iter().map(|path| shell::path(&path.display().to_string())).collect();
        let all = all.join(" ");
        let mut each = owners.iter();
        match (each.next(), each.next(), &own) {
            (None, ..) | (Some(0), None, User::Unnamed) => own,
            (Some(0), None, User::Named(_)) | (Some(_), Some(_), _) if may_write => own,
            (Some(0), None, User::Named(user)) => {
                notes
                    .push(format!("what it writes belongs to root, and it runs as {user}: chown -R {user}: {all}{or}"));
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
                     them (service install JOB), or give all of it to one{or}"
                ));
                own
            }
        }
    }

    /// What has to be done so that the service can read a path; `None` if it can, or nobody knows.
    pub(super) fn to_read(&self, path: &Path, what: Reads, (user, unit): (&User, Unit<'_>)) -> Option<String> {
        let reader = self.reader_of(user)?;
        let named = shell::path(&path.display().to_string());
        let is_dir = path.is_dir();
        let closed = closed_above(&reader, path);
        let own = (path, if is_dir { 0o5 } else { 0o4 });
        let who = &reader.name;
        if closed.is_empty() && reader.may(own.0, own.1) {
            return None;
        }
        let steps: Vec<(&Path, u32)> = closed.iter().map(|dir| (*dir, 0o1)).chain([own]).collect();
        if let Some(way) = self.by_groups(&reader, &steps, unit) {
            return Some(format!("{who} can't read {}, but a group can that it may have, too: {way}", shown(path)));
        }
        if let Some(dir) = closed.last() {
            let way = format!("chmod o+x {}", shell::path(&dir.display().to_string()));
            return Some(format!("{who} can't read {}, because it may not enter {}: {way}", shown(path), shown(dir)));
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

    /// What has to be done so that the service comes to a directory that it writes.
    pub(super) fn to_enter(&self, path: &Path, (user, unit): (&User, Unit<'_>)) -> Option<String> {
        let reader = self.reader_of(user)?;
        let closed = closed_above(&reader, path);
        let dir = closed.last()?;
        let steps: Vec<(&Path, u32)> = closed.iter().map(|dir| (*dir, 0o1)).collect();
        let chmod = || format!("chmod o+x {}", shell::path(&dir.display().to_string()));
        let way = self.by_groups(&reader, &steps, unit).unwrap_or_else(chmod);
        Some(format!("{} can't come to {}, because it may not enter {}: {way}", reader.name, shown(path), shown(dir)))
    }

    /// Whether the service can run a program that is there, as far as anybody knows.
    pub(super) fn may_run(&self, path: &Path, user: &User) -> bool {
        let is_closed = |reader: Reader| !reader.may(path, 0o1) || !closed_above(&reader, path).is_empty();
        !self.reader_of(user).is_some_and(is_closed)
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

/// The directories above a path that it may not enter, the nearest one first. What is bound into the service's own
/// directories can be reached there.
fn closed_above<'a>(reader: &Reader, path: &'a Path) -> Vec<&'a Path> {
    let is_bound = HOMES.iter().chain(&TEMPORARY).any(|dir| path.starts_with(dir));
    path.ancestors().skip(1).filter(|dir| !is_bound && !reader.may(dir, 0o1)).collect()
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
            let told = machine.to_read(&file, what, (user, Unit::Other))?;
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

    /// Gives a path to a group that is not root's, which only root can do; its number.
    fn grouped(path: &Path, mode: u32) -> Option<u32> {
        std::os::unix::fs::chown(path, None, Some(4646)).ok();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        Some(fs::metadata(path).unwrap().gid()).filter(|gid| *gid != 0)
    }

    #[test]
    fn a_service_may_have_the_group_that_already_has_the_right() {
        let dir = tempfile::tempdir().unwrap();
        let web = User::Named("web".to_owned());
        let Some(gid) = grouped(dir.path(), 0o750) else { return };
        let mut machine = machine();
        machine.groups = format!("{}media:x:{gid}:\n", machine.groups);
        let unit = Unit::Systemd("mediasync.service");
        let told = |user: &User, unit| machine.to_read(dir.path(), Reads::All, (user, unit)).unwrap();
        let way = "SupplementaryGroups=media in [Service] (systemctl edit mediasync.service)";
        for user in [&web, &User::Dynamic] {
            assert!(told(user, unit).ends_with(way), "{}", told(user, unit));
            assert!(told(user, Unit::Other).contains(": chm") || told(user, Unit::Other).contains(": chgrp"));
        }
        let writes: BTreeSet<PathBuf> = [dir.path().to_owned()].into();
        let mut packaged = Machine { users: machine.users.clone(), groups: machine.groups.clone() };
        packaged.users.push_str("mediasync:x:77:77::/:/bin/false\n");
        let chosen = |machine: &Machine| {
            let mut notes = Vec::new();
            let user = machine.chosen(&writes, (Manager::Systemd, Scope::System, unit), &mut notes);
            (user, notes.join("; "))
        };
        let is_root = fs::metadata(dir.path()).unwrap().uid() == 0;
        // Its group may read there, and not write.
        assert!(!is_root || chosen(&packaged).1.ends_with(&format!(": chown -R mediasync: {}", dir.path().display())));
        grouped(dir.path(), 0o770);
        assert!(!is_root || chosen(&packaged).1.ends_with(way), "{}", chosen(&packaged).1);
        // Who is in it already may do all that.
        packaged.groups = packaged.groups.replace(&format!("media:x:{gid}:"), &format!("media:x:{gid}:mediasync"));
        assert!(!is_root || chosen(&packaged) == (User::Named("mediasync".to_owned()), String::new()));
        // A group without the right, and that of root, are no way.
        grouped(dir.path(), 0o700);
        assert!(told(&web, unit).contains(": chgrp -R web-data "), "{}", told(&web, unit));
        if is_root {
            std::os::unix::fs::chown(dir.path(), None, Some(0)).unwrap();
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o750)).unwrap();
            assert!(told(&web, unit).contains(": chgrp -R web-data "), "{}", told(&web, unit));
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
        let told = machine().to_read(&file, Reads::All, (&User::Named("web".to_owned()), Unit::Other)).unwrap();
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
            (machine.chosen(&writes, (manager, scope, Unit::Other), &mut notes), notes.join("; "))
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
