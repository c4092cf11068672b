//! The clock of leases: how long something took on this host. Nobody compares the clocks of two hosts.

use std::time::Duration;

/// Tells how long ago something was, whatever the wall clock is set to.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Time since some fixed point; never goes back, and goes on while the process is stopped or the machine sleeps.
    fn now(&self) -> Duration;
}

/// The kernel's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Boot;

/// What counts while the machine sleeps.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for Boot {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(ID);
        let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
        seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// That of the runtime: for tests, which stop and turn it.
#[derive(Debug, Clone, Copy)]
pub struct Runtime(tokio::time::Instant);

impl Runtime {
    /// It begins now, inside of a runtime.
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for Runtime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_clock_goes_on() {
        let before = Boot.now();
        assert!(before > Duration::ZERO && Boot.now() >= before);
    }
}
