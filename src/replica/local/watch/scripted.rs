//! A watcher that tells what a test says.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Coverage, Lost, Sign, Watcher};

/// The watcher. It waits for ever once its [`Script`] is gone.
#[derive(Debug)]
pub struct Scripted {
    signs: mpsc::UnboundedReceiver<Vec<Sign>>,
    state: Arc<Mutex<State>>,
}

/// What makes a [`Scripted`] tell something.
#[derive(Debug, Clone)]
pub struct Script {
    signs: mpsc::UnboundedSender<Vec<Sign>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    coverage: Coverage,
    lost: Option<Lost>,
}

/// A watcher of a directory, all of which is watched, and its script.
pub fn scripted() -> (Scripted, Script) {
    let (sender, signs) = mpsc::unbounded_channel();
    let state = Arc::new(Mutex::new(State { coverage: Coverage::Full { directories: 1 }, lost: None }));
    (Scripted { signs, state: Arc::clone(&state) }, Script { signs: sender, state })
}

impl Script {
    /// Tells these at once. What comes after the watcher is gone is told to nobody.
    pub fn tell(&self, signs: impl IntoIterator<Item = Sign>) {
        let signs: Vec<Sign> = signs.into_iter().collect();
        for sign in &signs {
            let mut state = lock(&self.state);
            match sign {
                Sign::Lost(lost) => state.lost = Some(lost.clone()),
                Sign::Rescan(super::Missed::Returned) => state.lost = None,
                _ => {}
            }
        }
        self.signs.send(signs).unwrap_or_default();
    }

    /// Changes what is watched.
    pub fn cover(&self, coverage: Coverage) {
        lock(&self.state).coverage = coverage;
    }
}

#[async_trait]
impl Watcher for Scripted {
    async fn next(&mut self) -> Vec<Sign> {
        match self.signs.recv().await {
            Some(signs) => signs,
            None => std::future::pending().await,
        }
    }

    async fn check(&mut self) -> Option<Lost> {
        lock(&self.state).lost.clone()
    }

    fn coverage(&self) -> Coverage {
        lock(&self.state).coverage.clone()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Missed;
    use super::*;

    #[tokio::test]
    async fn it_tells_what_the_script_says() {
        let (mut watcher, script) = scripted();
        let lost = Lost { message: "it is gone".to_owned(), hint: "mount it".to_owned() };
        script.tell([Sign::Lost(lost.clone())]);
        assert_eq!(watcher.check().await, Some(lost.clone()));
        script.tell([Sign::Rescan(Missed::Returned)]);
        assert_eq!(watcher.next().await, [Sign::Lost(lost)]);
        assert_eq!(watcher.next().await, [Sign::Rescan(Missed::Returned)]);
        assert_eq!(watcher.check().await, None);
        script.cover(Coverage::Polling { why: "NFS".to_owned() });
        assert_eq!(watcher.coverage(), Coverage::Polling { why: "NFS".to_owned() });
    }
}
