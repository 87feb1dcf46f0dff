//! How much time a run has: it stops by itself before it would be stopped.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// What a run needs after the last day that it wrote: a day that is under way, the record, the lease.
const RESERVE: Duration = Duration::from_secs(45);

/// The time that a run has; without an end of its own, all that it takes.
#[derive(Clone, Default)]
pub struct Budget(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Budget {
    /// Until so shortly before `deadline` that what is begun can be ended. One that is over already ends nothing: Lambda
    /// begins no run after its deadline, but `cargo lambda watch` counts the time that it compiles.
    pub fn until(deadline: SystemTime) -> Self {
        let Ok(left) = deadline.duration_since(SystemTime::now()) else { return Self::default() };
        let end = Instant::now() + left - RESERVE.min(left / 4);
        Self::while_not(move || Instant::now() >= end)
    }

    /// Until `over` says so.
    pub fn while_not(over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(over)))
    }

    /// Whether it is used up.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|over| over())
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("ends", &self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_before_the_deadline_is_and_without_one_never() {
        let in_so_long = |seconds| Budget::until(SystemTime::now() + Duration::from_secs(seconds));
        let short = Budget::until(SystemTime::now() + Duration::from_millis(40));
        assert!(!in_so_long(60).is_over() && !in_so_long(86_400).is_over() && !Budget::default().is_over());
        std::thread::sleep(Duration::from_millis(60));
        assert!(short.is_over());
        assert!(!Budget::until(SystemTime::now() - Duration::from_secs(1)).is_over(), "whoever is late still works");
    }
}
