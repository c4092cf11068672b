//! `acl set`: gives objects a canned ACL, each that does not have it yet.

use super::args::Set;
use super::get::container;
use super::meant::{Meant, Reach, aim, find};
use super::objects::over;
use super::told::{self, Sums};
use crate::cli::consent::{Consent, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::managed::Managed;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::cli::spot::Spot;
use crate::cli::{pairs, shell, spot};
use crate::location::Location;
use crate::model::Key;
use crate::replica::Error;
use crate::replica::access::Access;
use crate::replica::admin::{Admin, Block, Canned, Level};
use crate::replica::s3::PUBLIC_BY_BUCKET;
use crate::sync::Stage;

pub(super) async fn set(args: &Set, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let canned = Canned::named(&args.acl).expect("clap takes only these names");
    let aim = aim(&args.location, world)?;
    let stage = if args.wish.dry_run { Stage::Planned } else { Stage::Done };
    if stage == Stage::Done {
        may_change(&aim.whole, Consent::of(args.wish.yes), output).await?;
    }
    let access = match stage {
        Stage::Planned => Access::ReadOnly,
        Stage::Done => Access::Write,
    };
    let work = Work { canned, stage, output };
    match find(&aim, Reach::of(args.recursive), access).await? {
        Meant::Object(managed, key) => {
            let exit = work.one(&managed, &key, &aim).await?;
            work.doubt(&aim, setup);
            Ok(exit)
        }
        Meant::Below(managed) => {
            let exit = work.all(&managed).await?;
            work.doubt(&aim, setup);
            Ok(exit)
        }
        Meant::Container(managed) => work.container(&managed, &aim, (&args.location, world)).await,
    }
}

/// Whether an object got the ACL, or had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Set,
    Already,
}

/// What is done to each object.
#[derive(Debug, Clone, Copy)]
struct Work<'a> {
    canned: Canned,
    stage: Stage,
    output: &'a Output,
}

impl Work<'_> {
    async fn one(&self, managed: &Managed, key: &Key, aim: &Spot) -> Result<Exit, Failure> {
        let admin = &*managed.admin;
        self.output.say(&format!("the object {}", aim.whole.location.display()));
        self.warn(admin).await;
        let outcome = self.change(admin, key).await?;
        let mut sums = Sums::default();
        self.tell(admin, key, outcome, &mut sums);
        self.finish(admin, &sums);
        Ok(Exit::Done)
    }

    async fn all(&self, managed: &Managed) -> Result<Exit, Failure> {
        let admin = &*managed.admin;
        self.output.say(&format!("all objects below {}", admin.name()));
        self.warn(admin).await;
        let mut sums = Sums::default();
        let change = |key| async move {
            let outcome = self.change(admin, &key).await;
            (key, outcome)
        };
        let (looked, end) = over(&*managed.replica, self.output, change, |key, outcome| {
            self.tell(admin, key, outcome, &mut sums);
        })
        .await;
        sums.problems = looked.problems;
        if looked.objects > 0 || end.is_ok() {
            self.finish(admin, &sums);
        }
        end?;
        Ok(if sums.problems > 0 { Exit::Problems } else { Exit::Done })
    }

    async fn change(&self, admin: &dyn Admin, key: &Key) -> Result<Outcome, Error> {
        if admin.has_acl(key, self.canned).await? {
            return Ok(Outcome::Already);
        }
        if self.stage == Stage::Done {
            admin.set_acl(key, self.canned).await?;
        }
        Ok(Outcome::Set)
    }

    fn tell(&self, admin: &dyn Admin, key: &Key, outcome: Outcome, sums: &mut Sums) {
        match outcome {
            Outcome::Already => sums.already += 1,
            Outcome::Set => {
                sums.set += 1;
                let is_shown = self.stage == Stage::Planned || self.output.verbosity() == Verbosity::Verbose;
                match self.output.format() {
                    Format::Json => self.output.data(&told::action(admin.name(), key, self.canned, self.stage)),
                    Format::Human if is_shown => self.output.data(&told::action_line(key, self.canned)),
                    Format::Human => {}
                }
            }
        }
    }

    fn finish(&self, admin: &dyn Admin, sums: &Sums) {
        match self.output.format() {
            Format::Json => self.output.data(&told::summary(admin.name(), self.canned, sums, self.stage)),
            Format::Human if self.output.verbosity() > Verbosity::Quiet => {
                self.output.data(&told::sums(self.canned, sums, self.stage));
            }
            Format::Human => {}
        }
    }

    /// Says that the server was seen to do nothing with ACLs.
    fn doubt(&self, aim: &Spot, setup: &Setup) {
        if let Location::S3(address) = &aim.whole.location
            && self.canned.is_public()
            && let Some(found) =
                address.without_effect(self.canned.name(), pairs::met(address, &setup.state_dir).as_ref())
        {
            self.output.say(&format!(
                "note: {found}; mediasync url --check of an object tells whether everybody can read it. {PUBLIC_BY_BUCKET}"
            ));
        }
    }

    /// What the bucket does with public ACLs, before any is set. Where that is not told, the answer to setting one tells.
    async fn warn(&self, admin: &dyn Admin) {
        if !self.canned.is_public() {
            return;
        }
        let blocks = admin.blocks().await.unwrap_or_default();
        let what = if blocks.contains(&Block::Acls) {
            "refuses public ACLs"
        } else if blocks.contains(&Block::IgnoredAcls) {
            "takes public ACLs and ignores them"
        } else {
            return;
        };
        let names: Vec<&str> = blocks.iter().map(|block| block.name()).collect();
        self.output.warn(&format!("{} {what}: Block Public Access is on ({})", admin.name(), names.join(", ")));
    }

    /// A container of Azure, as a whole.
    async fn container(
        &self,
        managed: &Managed,
        aim: &Spot,
        (text, world): (&str, World<'_>),
    ) -> Result<Exit, Failure> {
        let shown = container(&aim.whole.location);
        if let Location::Azure(address) = &aim.whole.location
            && !address.prefix.is_empty()
        {
            let message = format!("blobs have no ACLs: on Azure the container {shown} is public or private as a whole");
            let hint = match spot::container(text, address, world) {
                Some(whole) => format!("name the container without a prefix: {}", shell::place(&whole)),
                None => "name the container by a remote or a DSN without a prefix".to_owned(),
            };
            return Err(Failure::usage(message).hint(hint));
        }
        let level = match self.canned {
            Canned::Private => Level::Private,
            Canned::PublicRead => Level::Objects,
            other => {
                let message = format!("{other} means nothing on Azure: a container is private or public-read");
                return Err(Failure::usage(message));
            }
        };
        let admin = &*managed.admin;
        let before = admin.level().await?;
        let mut sums = Sums::default();
        if before == level {
            sums.already += 1;
        } else {
            if self.stage == Stage::Done {
                admin.set_level(level).await?;
            }
            sums.set += 1;
        }
        match self.output.format() {
            Format::Json => self.output.data(&told::summary(&shown, self.canned, &sums, self.stage)),
            Format::Human if self.output.verbosity() > Verbosity::Quiet => {
                self.output.data(&told::container_set(&shown, (before, level), self.stage));
            }
            Format::Human => {}
        }
        Ok(Exit::Done)
    }
}
