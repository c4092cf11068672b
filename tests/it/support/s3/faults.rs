//! Failures on demand: rules that say which requests go wrong and how, and gates that hold requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use globset::{Glob, GlobMatcher};
use tokio::sync::watch;

use super::call::Call;

/// How a request goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Answers with this status and code instead of handling it. With [`Rule::skip`] on a listing, a later page fails.
    Status(u16, &'static str),
    /// Answers 200 with an error body instead of handling it (CompleteMultipartUpload and CopyObject may).
    OkWithError(&'static str),
    /// DeleteObjects: the keys that match the rule's pattern fail with this code, the others are deleted.
    KeyErrors(&'static str),
    /// Answers 301 without body and headers.
    BareRedirect,
    /// Resets the connection instead of handling it.
    Reset,
    /// Handles it and resets the connection instead of answering.
    LoseAnswer,
    /// Handles it after a pause.
    Delay(Duration),
    /// Announces the whole body of the answer and breaks the connection after so many bytes.
    Truncate(usize),
    /// A listing says that it is complete after this page.
    ClaimComplete,
    /// A listing gives the continuation token that it was given.
    RepeatToken,
    /// A listing gives the last key of the page twice.
    RepeatKey,
    /// A listing gives a page without keys, and a token to go on at the same place.
    EmptyPage,
}

/// Which requests go wrong. Without more, each request of the operation does.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    operation: &'static str,
    key: GlobMatcher,
    skip: usize,
    times: usize,
    chance: Option<(f64, fastrand::Rng)>,
    effect: Effect,
}

impl Rule {
    /// For each request of an operation; `*` means any.
    pub(crate) fn new(operation: &'static str, effect: Effect) -> Self {
        Self { operation, key: glob("*"), skip: 0, times: usize::MAX, chance: None, effect }
    }

    /// Only for keys that match (`*` also matches `/`). For listings the prefix counts as the key, for DeleteObjects
    /// see [`Effect::KeyErrors`]; other effects on DeleteObjects need a pattern that matches the empty key.
    pub(crate) fn key(mut self, pattern: &str) -> Self {
        self.key = glob(pattern);
        self
    }

    /// Lets the first `count` matching requests pass.
    pub(crate) fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Ends after `count` failures.
    pub(crate) fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    /// Only with this probability, the same sequence for the same seed.
    pub(crate) fn chance(mut self, probability: f64, seed: u64) -> Self {
        self.chance = Some((probability, fastrand::Rng::with_seed(seed)));
        self
    }

    fn fires(&mut self, call: &Call) -> bool {
        if self.times == 0 || !matches(self.operation, &self.key, call, &self.effect) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some((probability, random)) = &mut self.chance
            && random.f64() >= *probability
        {
            return false;
        }
        self.times -= 1;
        true
    }
}

fn glob(pattern: &str) -> GlobMatcher {
    Glob::new(pattern).expect("a valid key pattern").compile_matcher()
}

fn matches(operation: &str, key: &GlobMatcher, call: &Call, effect: &Effect) -> bool {
    if operation != "*" && operation != call.operation {
        return false;
    }
    if matches!(effect, Effect::KeyErrors(_)) {
        return call.operation == "DeleteObjects";
    }
    let prefix = call.query.get("prefix").map_or("", String::as_str);
    key.is_match(if call.key.is_empty() { prefix } else { &call.key })
}

/// An effect chosen for a request.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// What happens.
    pub(crate) effect: Effect,
    /// The keys that [`Effect::KeyErrors`] is for.
    pub(crate) keys: GlobMatcher,
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    fired: usize,
}

impl Faults {
    /// Adds a rule. The first rule that fires decides alone.
    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// How often a rule fired, so that a test can prove that its fault happened.
    pub(crate) fn fired(&self) -> usize {
        self.fired
    }

    /// Chooses the fault of a request.
    pub(crate) fn choose(&mut self, call: &Call) -> Option<Fault> {
        let rule = self.rules.iter_mut().find_map(|rule| rule.fires(call).then_some(&*rule))?;
        self.fired += 1;
        Some(Fault { effect: rule.effect.clone(), keys: rule.key.clone() })
    }
}

/// Where a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Received as a whole, but not handled.
    BeforeHandling,
    /// Handled, but not answered.
    BeforeAnswer,
}

#[derive(Debug, Clone, Copy, Default)]
struct GateState {
    open: bool,
    /// Requests that came to the gate, ever.
    held: usize,
    /// Requests that wait at it now.
    waiting: usize,
}

/// Counts a request as waiting; its future is dropped when its client goes away.
struct Waiting<'a>(&'a watch::Sender<GateState>);

impl<'a> Waiting<'a> {
    fn at(gate: &'a watch::Sender<GateState>) -> Self {
        gate.send_modify(|state| {
            state.held += 1;
            state.waiting += 1;
        });
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.waiting -= 1);
    }
}

/// Holds requests until it is released or dropped. A request whose client goes away while held is never handled.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<GateState>);

impl Gate {
    /// Waits until `count` requests have been held, and fails after 10 s.
    pub(crate) async fn reached(&self, count: usize) {
        self.wait(|state| state.held >= count).await;
    }

    /// Waits until the clients of all held requests have gone away, and fails after 10 s.
    pub(crate) async fn abandoned(&self) {
        self.wait(|state| state.waiting == 0).await;
    }

    async fn wait(&self, done: impl FnMut(&GateState) -> bool) {
        let mut state = self.0.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(10), state.wait_for(done)).await;
        drop(waited.expect("it happens within 10 s").expect("the gate exists"));
    }

    /// As [`Self::reached`], for tests without a runtime.
    pub(crate) fn reached_blocking(&self, count: usize) {
        let begun = Instant::now();
        while self.0.borrow().held < count {
            assert!(begun.elapsed() < Duration::from_secs(10), "requests reach the gate within 10 s");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets all go on, and holds no more.
    pub(crate) fn release(&self) {
        self.0.send_modify(|state| state.open = true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

#[derive(Debug, Clone)]
struct Held {
    moment: Moment,
    operation: &'static str,
    key: GlobMatcher,
    state: watch::Sender<GateState>,
}

/// All gates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates(Arc<Mutex<Vec<Held>>>);

impl Gates {
    /// Adds a gate.
    pub(crate) fn add(&self, moment: Moment, operation: &'static str, key: &str) -> Gate {
        let state = watch::Sender::new(GateState::default());
        let held = Held { moment, operation, key: glob(key), state: state.clone() };
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|gate| !gate.state.borrow().open);
        gates.push(held);
        drop(gates);
        Gate(state)
    }

    /// Waits at the gates that a request meets at this moment.
    pub(crate) async fn pass(&self, moment: Moment, call: &Call) {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for gate in gates {
            if gate.moment != moment || !matches(gate.operation, &gate.key, call, &Effect::Reset) {
                continue;
            }
            let _waiting = Waiting::at(&gate.state);
            let mut state = gate.state.subscribe();
            // The sender lives in `gate`: waiting can't fail.
            drop(state.wait_for(|state| state.open).await);
        }
    }
}
