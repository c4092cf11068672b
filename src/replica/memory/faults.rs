//! Calls that fail, and processes that die, by plan.

use bytes::Bytes;

use super::{Memory, State};
use crate::model::Key;
use crate::replica::Error;

/// A call, for fault plans and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method's name.
    pub operation: &'static str,
    /// The key, if the call has one.
    pub key: Option<Key>,
}

/// What a fault plan answers to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Go on.
    None,
    /// Fail without acting.
    Before(Error),
    /// Act, then fail: the acknowledgement is lost.
    After(Error),
    /// The process dies without acting.
    DieBefore,
    /// Act, then the process dies.
    DieAfter,
    /// What was asked for long ago under this key happens first: these bytes, or none.
    Behind(Key, Option<Bytes>),
}

/// What a process that dies by plan panics with; nothing on its way out runs as if it had not.
pub const DEATH: &str = "the fault plan killed this process";

pub(super) type FaultPlan = Box<dyn FnMut(&Call) -> Fault + Send>;

impl Memory {
    /// Asks `plan` before each call from now on.
    pub fn inject(&self, plan: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.lock().faults = Some(Box::new(plan));
    }

    /// No faults from now on.
    pub fn heal(&self) {
        self.lock().faults = None;
    }

    /// The calls since the last time this was asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Asks the fault plan, acts, and loses the acknowledgement if the plan says so.
    pub(super) fn call<T>(
        &self,
        operation: &'static str,
        key: Option<&Key>,
        act: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let call = Call { operation, key: key.cloned() };
        let fault = state.faults.as_mut().map_or(Fault::None, |plan| plan(&call));
        state.calls.push(call);
        match fault {
            Fault::None => act(&mut state),
            Fault::Before(error) => Err(error),
            Fault::After(error) => act(&mut state).and(Err(error)),
            Fault::DieBefore => panic!("{DEATH}"),
            Fault::Behind(key, bytes) => {
                match bytes {
                    Some(bytes) => state.arrives(&key, bytes),
                    None => drop(state.objects.remove(&key)),
                }
                act(&mut state)
            }
            Fault::DieAfter => {
                drop(act(&mut state));
                panic!("{DEATH}");
            }
        }
    }
}
