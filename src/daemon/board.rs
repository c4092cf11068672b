//! Where all jobs write how they stand, and whoever asks reads it.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::state::{DaemonState, JobState, Retrying};
use crate::sync::Progress;

/// Where all jobs write how they stand. Clones share it.
#[derive(Debug, Clone)]
pub struct Board {
    shared: Arc<Mutex<Shared>>,
    changes: Arc<Notify>,
}

#[derive(Debug)]
struct Shared {
    state: DaemonState,
    /// Of the cycles under way, by job.
    progress: HashMap<String, Vec<Arc<Progress>>>,
}

impl Board {
    /// A board.
    pub fn new(state: DaemonState) -> Self {
        let shared = Arc::new(Mutex::new(Shared { state, progress: HashMap::new() }));
        Self { shared, changes: Arc::default() }
    }

    /// Waits until something was written on it since this was last asked for, progress aside. For one who asks.
    pub async fn changed(&self) {
        self.changes.notified().await;
    }

    /// What stands on it now.
    pub fn look(&self) -> DaemonState {
        let shared = self.lock();
        let mut state = shared.state.clone();
        for job in &mut state.jobs {
            let Some(running) = &mut job.running else { continue };
            for progress in shared.progress.get(&job.name).into_iter().flatten() {
                running.actions += progress.actions.load(Relaxed);
                running.actions_done += progress.actions_done.load(Relaxed);
                running.bytes_to_send += progress.bytes_to_send.load(Relaxed);
                running.bytes_sent += progress.sent.bytes();
                if let Some((time, message)) = progress.retrying() {
                    running.retrying = Some(Retrying { for_s: time.as_secs(), message });
                }
            }
            // What was sent in vain is counted again.
            running.bytes_sent = running.bytes_sent.min(running.bytes_to_send);
        }
        state
    }

    /// Changes what stands on it.
    pub fn change<T>(&self, change: impl FnOnce(&mut DaemonState) -> T) -> T {
        let changed = change(&mut self.lock().state);
        self.changes.notify_one();
        changed
    }

    /// Changes how a job stands; nothing if there is no such job.
    pub fn job<T>(&self, name: &str, change: impl FnOnce(&mut JobState) -> T) -> Option<T> {
        let changed = self.lock().state.jobs.iter_mut().find(|job| job.name == name).map(change);
        self.changes.notify_one();
        changed
    }

    /// A cycle of a job is under way.
    pub fn under_way(&self, name: &str, progress: Arc<Progress>) {
        self.lock().progress.entry(name.to_owned()).or_default().push(progress);
    }

    /// It is not any more; the job is at rest when none is.
    pub fn done(&self, name: &str, progress: &Arc<Progress>) {
        let mut shared = self.lock();
        let Some(under_way) = shared.progress.get_mut(name) else { return };
        under_way.retain(|other| !Arc::ptr_eq(other, progress));
        if !under_way.is_empty() {
            return;
        }
        if let Some(job) = shared.state.jobs.iter_mut().find(|job| job.name == name) {
            job.running = None;
        }
        drop(shared);
        self.changes.notify_one();
    }

    /// No cycle of a job is under way any more.
    pub fn all_done(&self, name: &str) {
        let mut shared = self.lock();
        shared.progress.remove(name);
        if let Some(job) = shared.state.jobs.iter_mut().find(|job| job.name == name) {
            job.running = None;
        }
        drop(shared);
        self.changes.notify_one();
    }

    /// Plain values stay behind after a panic elsewhere.
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
