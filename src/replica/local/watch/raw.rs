//! What the library tells, cut down to what matters here, on its way to the thread that makes signs of it.
//!
//! This runs on the library's thread, which must never wait: where the queue is full, the event is dropped and a flag
//! says that everything has to be looked at. Reading a file to hash it makes events too; they end here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind};
/// What the thread is told.
#[derive(Debug)]
pub(super) enum Raw {
    /// Something happened; the number says which watcher saw it.
    Seen(u64, Seen, PathBuf),
    /// Look at the root.
    Check,
    /// A flag was set.
    Wake,
    /// The library told an error.
    Failed(String),
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    MadeDirectory,
    Made,
    Written,
    Closed,
    Touched,
    Removed,
    /// It got another name, told with this number.
    From(usize),
    /// It is the other name.
    To(usize),
    /// Systems that tell less.
    Something,
}

/// What both threads see.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Events were dropped, here or in the kernel.
    pub(super) overflow: AtomicBool,
    /// How often the root was seen being opened.
    pub(super) beats: AtomicU64,
    /// Nobody listens any more.
    pub(super) stop: AtomicBool,
}

/// Takes the events of one watcher.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) number: u64,
    pub(super) root: PathBuf,
    pub(super) queue: SyncSender<Raw>,
    pub(super) flags: Arc<Flags>,
}

impl notify::EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        match event {
            Err(error) => self.send(Raw::Failed(error.to_string())),
            Ok(event) if event.need_rescan() => {
                self.flags.overflow.store(true, Ordering::Relaxed);
                self.send(Raw::Wake);
            }
            Ok(event) => {
                let what = self.what(&event);
                let Event { mut paths, .. } = event;
                if let (Some(what), Some(path)) = (what, paths.pop()) {
                    self.send(Raw::Seen(self.number, what, path));
                }
            }
        }
    }
}

impl Handler {
    fn what(&self, event: &Event) -> Option<Seen> {
        let is_root = || event.paths.first().is_some_and(|path| same(path, &self.root));
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Seen::Closed),
            EventKind::Access(AccessKind::Open(_)) => {
                if is_root() {
                    self.flags.beats.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
            // Both names of a rename come again together, after each came alone.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) | EventKind::Other => None,
            EventKind::Create(CreateKind::Folder) => Some(Seen::MadeDirectory),
            EventKind::Create(_) => Some(Seen::Made),
            EventKind::Remove(_) => Some(Seen::Removed),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => match event.tracker() {
                Some(cookie) => Some(Seen::From(cookie)),
                // A watched directory says that it was moved itself. Of all but the root, the one above says it better.
                None => is_root().then_some(Seen::Removed),
            },
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                Some(event.tracker().map_or(Seen::Something, Seen::To))
            }
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Any => Some(Seen::Something),
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Seen::Touched),
            EventKind::Modify(_) => Some(Seen::Written),
        }
    }

    fn send(&self, raw: Raw) {
        match self.queue.try_send(raw) {
            // Whoever reads the queue is awake, and looks at the flag.
            Err(TrySendError::Full(_)) => self.flags.overflow.store(true, Ordering::Relaxed),
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

/// Comparing components costs more than this has to.
fn same(a: &Path, b: &Path) -> bool {
    a.as_os_str() == b.as_os_str()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use notify::EventHandler as _;
    use notify::event::{DataChange, Flag};

    use super::*;

    #[test]
    fn it_never_waits_and_says_so_where_it_drops_something() {
        let (queue, events) = sync_channel(1);
        let flags = Arc::new(Flags::default());
        let mut handler = Handler { number: 7, root: "/r".into(), queue, flags: Arc::clone(&flags) };
        let open = |path: &str| Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any))).add_path(path.into());
        let write = || Event::new(EventKind::Modify(ModifyKind::Data(DataChange::Any))).add_path("/r/a".into());
        for _ in 0..3 {
            handler.handle_event(Ok(open("/r/a")));
        }
        handler.handle_event(Ok(open("/r")));
        assert_eq!(flags.beats.load(Ordering::Relaxed), 1, "reading is no event, and opening the root is a beat");
        handler.handle_event(Ok(write()));
        assert!(!flags.overflow.load(Ordering::Relaxed));
        handler.handle_event(Ok(write()));
        assert!(flags.overflow.swap(false, Ordering::Relaxed), "there was no room");
        assert!(matches!(events.recv().unwrap(), Raw::Seen(7, Seen::Written, path) if path == Path::new("/r/a")));
        // What the library makes of IN_Q_OVERFLOW.
        handler.handle_event(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(flags.overflow.load(Ordering::Relaxed) && matches!(events.recv().unwrap(), Raw::Wake));
    }
}
