//! How programs save files, against a daemon that watches: one PUT each, never a DELETE, and no name that was only there
//! for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::support::sandbox::Sandbox;

type Save = fn(&Path, &str);

fn beside(path: &Path, name: &str) -> std::path::PathBuf {
    path.parent().unwrap().join(name)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn exists_for_a_moment(path: &Path) {
    write(path, "");
    fs::remove_file(path).unwrap();
}

/// `:w` with `backupcopy=no`: whether the directory can be written is tried first; the old file becomes the backup.
fn vim_renames(path: &Path, text: &str) {
    let backup = path.with_file_name(format!("{}~", path.file_name().unwrap().to_str().unwrap()));
    exists_for_a_moment(&beside(path, "4913"));
    fs::rename(path, &backup).unwrap();
    write(path, text);
    fs::remove_file(backup).unwrap();
}

/// `:w` with `backupcopy=yes`, with a swap file all the while.
fn vim_copies(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (swap, backup) = (beside(path, &format!(".{name}.swp")), beside(path, &format!("{name}~")));
    write(&swap, "swap");
    fs::copy(path, &backup).unwrap();
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
    drop(file);
    fs::remove_file(backup).unwrap();
    fs::remove_file(swap).unwrap();
}

/// `nobackup nowritebackup`.
fn vim_bare(path: &Path, text: &str) {
    write(path, text);
}

/// A lock that is a dangling link, a file saved by itself, and the content written in place.
fn emacs(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (lock, auto) = (beside(path, &format!(".#{name}")), beside(path, &format!("#{name}#")));
    symlink("somebody@host.1:2", &lock).unwrap();
    write(&auto, text);
    write(path, text);
    fs::remove_file(auto).unwrap();
    fs::remove_file(lock).unwrap();
}

fn vs_code(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    sleep(Duration::from_millis(5));
    file.write_all(text.as_bytes()).unwrap();
}

fn gnome(path: &Path, text: &str) {
    let temporary = beside(path, ".goutputstream-X7Q2K1");
    let mut file = File::create(&temporary).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
    drop(file);
    fs::rename(temporary, path).unwrap();
}

fn libreoffice(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (lock, temporary) = (beside(path, &format!(".~lock.{name}#")), beside(path, "lu4711abc.tmp"));
    write(&lock, ",somebody");
    write(&temporary, text);
    sleep(Duration::from_millis(30));
    fs::rename(temporary, path).unwrap();
    fs::remove_file(lock).unwrap();
}

fn rsync(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let temporary = beside(path, &format!(".{name}.Xa81Bc"));
    let mut file = File::create(&temporary).unwrap();
    file.write_all(&text.as_bytes()[..1]).unwrap();
    sleep(Duration::from_millis(30));
    file.write_all(&text.as_bytes()[1..]).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
    drop(file);
    fs::rename(temporary, path).unwrap();
}

fn rsync_in_place(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(text.len() as u64).unwrap();
    drop(file);
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
}

fn sed(path: &Path, text: &str) {
    let temporary = beside(path, "sedK3xQ9p");
    write(&temporary, text);
    fs::rename(temporary, path).unwrap();
}

/// A browser, with the placeholder that it makes first.
fn download(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let part = beside(path, &format!("{name}.part"));
    let mut file = File::create(&part).unwrap();
    for byte in text.as_bytes() {
        file.write_all(&[*byte]).unwrap();
        sleep(Duration::from_millis(10));
    }
    drop(file);
    fs::rename(part, path).unwrap();
}

/// `cp -p`, which sets times and permissions after the close.
fn cp(path: &Path, text: &str) {
    write(path, text);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7_200)).unwrap();
    drop(file);
    let mut permissions = fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o640);
    fs::set_permissions(path, permissions).unwrap();
}

const SAVES: [(&str, Save); 12] = [
    ("vim_renames", vim_renames),
    ("vim_copies", vim_copies),
    ("vim_bare", vim_bare),
    ("emacs", emacs),
    ("vs_code", vs_code),
    ("gnome", gnome),
    ("libreoffice", libreoffice),
    ("rsync", rsync),
    ("rsync_in_place", rsync_in_place),
    ("sed", sed),
    ("download", download),
    ("cp", cp),
];

#[test]
fn each_save_is_one_put_and_nothing_else() {
    let sandbox = Sandbox::new();
    for (name, _) in SAVES {
        sandbox.write(&format!("{name}/text.odt"), "first");
    }
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    for round in 2..=3 {
        sandbox.take_changed();
        for (name, save) in SAVES {
            save(&sandbox.media(&format!("{name}/text.odt")), &format!("{name}, round {round}"));
        }
        daemon.until_equal();
        let mut changed = sandbox.take_changed();
        changed.sort();
        let mut expected: Vec<String> = SAVES.iter().map(|(name, _)| format!("PUT {name}/text.odt")).collect();
        expected.sort();
        assert_eq!(changed, expected, "round {round}");
    }
    daemon.stop().exits(0);
}

#[test]
fn an_editors_backup_that_stays_is_a_file_and_the_saved_one_is_never_deleted() {
    let sandbox = Sandbox::with(&[("text.txt", "first")]);
    sandbox.configure("");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    fs::rename(sandbox.media("text.txt"), sandbox.media("text.txt.bak")).unwrap();
    sandbox.write("text.txt", "second");
    daemon.until_equal();
    let changed = sandbox.take_changed();
    assert!(!changed.iter().any(|line| line.starts_with("DELETE")), "{changed:?}");
    assert_eq!(changed.len(), 2, "{changed:?}");
    daemon.stop().exits(0);
}
