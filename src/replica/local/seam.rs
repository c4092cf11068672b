//! Tests only: lets a test act, or fail a call, at a named point of a walk or a transfer on its own thread.

use std::cell::RefCell;

use rustix::io::Errno;

type Hook = Box<dyn FnMut(&str, &str) -> Result<(), Errno>>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Runs `body` with `hook` called at every point, with the point and the name that it is about.
pub(super) fn with<T>(hook: impl FnMut(&str, &str) -> Result<(), Errno> + 'static, body: impl FnOnce() -> T) -> T {
    HOOK.with(|slot| *slot.borrow_mut() = Some(Box::new(hook)));
    let result = body();
    HOOK.with(|slot| *slot.borrow_mut() = None);
    result
}

pub(super) fn hit(point: &str, name: &str) -> Result<(), Errno> {
    HOOK.with(|slot| slot.borrow_mut().as_mut().map_or(Ok(()), |hook| hook(point, name)))
}
