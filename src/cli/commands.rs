//! Commands of the configuration that print a DSN (`dsn_command`): run once a process, and again when the credentials
//! that they printed have run out.
//!
//! What a command prints is a secret: it is shown nowhere and written nowhere. Its standard error goes to ours, so that
//! a login can be told about; its standard input is closed.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::dsn::{self, Place};
use crate::location::UsageError;
use crate::replica::azure::{self, AzureAddress};
use crate::replica::renewal::Renewal;
use crate::replica::s3::{Credentials, S3Address};
use crate::secret::Secret;

/// After this a command that prints nothing is ended.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What the commands of a process printed.
#[derive(Debug, Default)]
pub struct Commands {
    /// Where they run: relative names of programs start here.
    dir: PathBuf,
    printed: Mutex<BTreeMap<Vec<String>, Secret>>,
}

impl Commands {
    /// Commands that run in `dir`; the current directory if it is empty.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), printed: Mutex::default() }
    }

    /// The DSN that `command` prints; it is run the first time.
    ///
    /// # Errors
    /// It can't be run, fails, takes longer than a minute, or prints no DSN.
    pub fn dsn(&self, command: &[String]) -> Result<Secret, UsageError> {
        self.dsn_on(&Leash::default(), command)
    }

    /// The same; the command ends when somebody else lets go of the leash.
    ///
    /// # Errors
    /// As [`Self::dsn`].
    pub fn dsn_on(&self, leash: &Leash, command: &[String]) -> Result<Secret, UsageError> {
        if let Ok(known) = self.known(command) {
            return Ok(known);
        }
        let dsn = run(command, &self.dir, leash)?;
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).insert(command.to_vec(), dsn.clone());
        Ok(dsn)
    }

    /// The DSN that `command` printed before.
    ///
    /// # Errors
    /// It was not run.
    pub fn known(&self, command: &[String]) -> Result<Secret, UsageError> {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.get(command).cloned().ok_or_else(|| UsageError::new("only a command tells where it is", ""))
    }

    /// The credentials of `address`, which `command` printed, as ones that it can renew. Others are given back as they are.
    pub fn renewed(&self, command: &[String], address: &S3Address) -> Credentials {
        if !matches!(address.credentials, Credentials::Static { .. }) {
            return address.credentials.clone();
        }
        let again = self.again(command, address.canonical(), |place| match place {
            Place::S3(address) => Some((address.canonical(), address.credentials)),
            Place::Azure(_) | Place::Local(_) => None,
        });
        Credentials::Renewed { now: Box::new(address.credentials.clone()), again }
    }

    /// The same for a container; `None` if the command is not what they come from.
    pub fn renewal(&self, command: &[String], address: &AzureAddress) -> Option<Renewal<azure::Credentials>> {
        let is_printed = !matches!(address.credentials, azure::Credentials::Identity(_));
        let again = || {
            self.again(command, address.canonical(), |place| match place {
                Place::Azure(address) => Some((address.canonical(), address.credentials)),
                Place::S3(_) | Place::Local(_) => None,
            })
        };
        is_printed.then(again)
    }

    fn again<C: 'static>(
        &self,
        command: &[String],
        place: String,
        pick: fn(Place) -> Option<(String, C)>,
    ) -> Renewal<C> {
        let (command, dir) = (command.to_vec(), self.dir.clone());
        Renewal::new(move || {
            let dsn = run(&command, &dir, &Leash::default()).map_err(|error| error.to_string())?;
            let printed = dsn::parse(dsn.reveal(), None).map_err(|error| error.to_string())?.place;
            match pick(printed) {
                // Below a remote the prefix is longer than that of the DSN.
                Some((above, credentials)) if is_at_or_above(&above, &place) => Ok(credentials),
                _ => Err(format!("`{}` now prints the DSN of another place", name_of(&command))),
            }
        })
    }
}

fn is_at_or_above(above: &str, place: &str) -> bool {
    Path::new(place).starts_with(above)
}

/// Arguments may hold secrets: people see the name of the program only.
fn name_of(command: &[String]) -> String {
    command.first().map(|program| program.escape_debug().to_string()).unwrap_or_default()
}

/// What a running command is held by.
#[derive(Debug, Clone, Default)]
pub struct Leash(Arc<Mutex<Led>>);

#[derive(Debug, Default)]
enum Led {
    #[default]
    Nobody,
    Running(Child),
    /// Whatever is begun is ended at once.
    Never,
}

impl Leash {
    fn led(&self) -> MutexGuard<'_, Led> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leads(&self, child: Child) {
        let mut led = self.led();
        let is_cut = matches!(*led, Led::Never);
        *led = Led::Running(child);
        if is_cut {
            end(&mut led);
        }
    }

    fn ended(&self) -> io::Result<Option<ExitStatus>> {
        match &mut *self.led() {
            Led::Running(child) => child.try_wait(),
            Led::Nobody | Led::Never => Err(io::Error::other("the program ends")),
        }
    }

    /// Ends what runs, and whatever would be begun.
    pub fn cut(&self) {
        end(&mut self.led());
    }
}

fn end(led: &mut Led) {
    if let Led::Running(child) = led {
        // It may have ended this very moment.
        child.kill().and_then(|()| child.wait()).ok();
    }
    *led = Led::Never;
}

fn run(command: &[String], dir: &Path, leash: &Leash) -> Result<Secret, UsageError> {
    let name = name_of(command);
    let failed = |why: String| {
        UsageError::new(format!("dsn_command: `{name}` {why}"), "run it by hand to see what it prints: a DSN, or JSON")
    };
    let (program, arguments) = command.split_first().ok_or_else(|| failed("is empty".to_owned()))?;
    let program = match Path::new(program) {
        path if path.is_relative() && path.components().count() > 1 => dir.join(path),
        path => path.to_owned(),
    };
    let mut running = Command::new(program);
    running.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    if !dir.as_os_str().is_empty() {
        running.current_dir(dir);
    }
    let mut child = running.spawn().map_err(|error| failed(format!("can't be run: {error}")))?;
    let mut stdout = child.stdout.take().ok_or_else(|| failed("gives no output".to_owned()))?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let began = Instant::now();
    leash.leads(child);
    let status = loop {
        match leash.ended().map_err(|error| failed(format!("can't be waited for: {error}")))? {
            Some(status) => break status,
            None if began.elapsed() >= PATIENCE => {
                leash.cut();
                return Err(failed(format!("did not end within {} seconds", PATIENCE.as_secs())));
            }
            None => std::thread::sleep(LOOK),
        }
    };
    if !status.success() {
        return Err(failed(format!("failed: {status}")));
    }
    let text = reader.join().map_err(|_| failed("could not be read".to_owned()))?;
    let text = text.map_err(|_| failed("prints what is no text".to_owned()))?;
    let dsn = dsn::unwrap(&text, None).map_err(|error| failed(format!("prints no DSN: {error}")))?;
    // A message of the program would be taken for the name of a directory.
    if !dsn.contains("://") {
        return Err(failed("prints no DSN: there is no `://` in it".to_owned()));
    }
    Ok(Secret::new(dsn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    const PRINTS: &str = "echo run >> runs; echo '[{\"name\": \"DEFAULT_STORAGE_DSN\", \"value\": \
                          \"s3://KEY:hunter2@bbb.s3.eu-west-1.amazonaws.com/pre\"}]'";

    fn address(commands: &Commands, command: &[String]) -> S3Address {
        let dsn = commands.dsn(command).unwrap();
        let Place::S3(address) = dsn::parse(dsn.reveal(), None).unwrap().place else { panic!("no bucket") };
        address
    }

    #[test]
    fn a_command_runs_once_and_again_when_it_is_asked_to_renew() {
        let dir = tempfile::tempdir().unwrap();
        let (commands, command) = (Commands::new(dir.path()), shell(PRINTS));
        assert!(commands.known(&command).is_err());
        let runs = || std::fs::read_to_string(dir.path().join("runs")).unwrap_or_default().lines().count();
        let first = address(&commands, &command);
        let mut below = address(&commands, &command);
        assert_eq!((runs(), first.bucket.as_str()), (1, "bbb"));
        below.prefix.push_str("/photos");
        let Credentials::Renewed { again, .. } = commands.renewed(&command, &below) else { panic!("not renewed") };
        assert_eq!(again.now().unwrap(), first.credentials);
        assert_eq!(runs(), 2);
        below.bucket = "other".to_owned();
        let Credentials::Renewed { again, .. } = commands.renewed(&command, &below) else { panic!("not renewed") };
        assert!(again.now().unwrap_err().ends_with("now prints the DSN of another place"));
    }

    #[test]
    fn what_a_command_does_wrong_is_told_without_its_output() {
        let commands = Commands::default();
        for (command, told) in [
            (vec!["./no-such-program".to_owned()], "`./no-such-program` can't be run: "),
            (shell("echo hunter2; exit 3"), "`sh` failed: exit status: 3"),
            (shell("true"), "`sh` prints no DSN: it is empty"),
            (shell("printf '\\377'"), "`sh` prints what is no text"),
            (shell("echo null"), "`sh` prints no DSN: there is no `://` in it"),
            (shell("echo Please log in: hunter2"), "`sh` prints no DSN: there is no `://` in it"),
        ] {
            let error = commands.dsn(&command).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{commands:?}").contains("hunter2"));
    }
}
