//! The thread that tells, and what the daemon sees of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::file::AlarmFile;
use super::options::{AlarmWays, TokenProvider};
use super::tellers::{Tellers, Trial};
use crate::clock::Clock;
use crate::domain::alarm::{
    Alarm, AlarmMachine, AlarmOptions, AlarmStep, Condition, CourierStatus, SavedAlarms, Severity,
    Standing, Transition, Way,
};
use crate::domain::ids::BoxId;
use crate::stop::{StopToken, Waker, Woken};

/// It looks at the clock at least so often: a box that slept is not late for long.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Everything of `[alarm]`.
#[derive(Clone)]
pub struct AlarmSettings {
    /// When what is told.
    pub options: AlarmOptions,
    /// How it leaves the box.
    pub ways: AlarmWays,
    /// The webhook's token, where it has one.
    pub token: Option<TokenProvider>,
}

/// What is raised, and the thread that tells of it.
pub struct Alarms {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    box_id: BoxId,
    state_dir: PathBuf,
}

struct Shared {
    machine: Mutex<AlarmMachine>,
    file: AlarmFile,
    clock: Arc<dyn Clock>,
}

struct Running {
    tellers: Arc<Tellers>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Alarms {
    /// Goes on where the last process of this state folder ended. Nothing is told before
    /// [`Self::start`].
    pub fn open(
        settings: &AlarmSettings,
        box_id: BoxId,
        state_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let file = AlarmFile::of(state_dir);
        let machine = machine(settings, file.read(), &*clock);
        Self {
            shared: Arc::new(Shared {
                machine: Mutex::new(machine),
                file,
                clock,
            }),
            running: Mutex::default(),
            box_id,
            state_dir: state_dir.to_owned(),
        }
    }

    /// Starts the thread.
    pub fn start(&self, settings: &AlarmSettings) -> io::Result<()> {
        let tellers = Arc::new(Tellers::new(
            settings.ways.clone(),
            settings.token.clone(),
            self.box_id.clone(),
            self.state_dir.clone(),
        ));
        let stop: StopToken = tellers.stop_token().clone();
        let waker = Waker::new(&stop);
        let thread = Builder::new().name("alarm".to_owned()).spawn({
            let (shared, tellers) = (Arc::clone(&self.shared), Arc::clone(&tellers));
            let waker = waker.clone();
            move || shared.work(&tellers, &waker)
        })?;
        *lock(&self.running) = Some(Running {
            tellers,
            waker,
            thread,
        });
        Ok(())
    }

    /// Ends the thread, and what it is telling, at once. What was not told waits in the file.
    pub fn stop(&self) {
        let Some(running) = lock(&self.running).take() else {
            return;
        };
        running.tellers.shutdown();
        // A panic was logged where it happened.
        let _ = running.thread.join();
        self.shared.save();
    }

    /// Goes on with other settings.
    pub fn reconfigure(&self, settings: &AlarmSettings) -> io::Result<()> {
        self.stop();
        {
            let mut guarded = lock(&self.shared.machine);
            let saved = guarded.save(self.shared.clock.now());
            *guarded = machine(settings, saved, &*self.shared.clock);
        }
        self.start(settings)
    }

    /// Whether the thread has ended although nobody stopped it.
    pub fn is_dead(&self) -> bool {
        let running = lock(&self.running);
        running.as_ref().is_some_and(|r| r.thread.is_finished())
    }

    /// Takes in everything that stands now, and whether the box is ready.
    pub fn observe(&self, seen: Vec<Condition>, is_ready: bool) {
        let now = self.shared.clock.now();
        let changes = lock(&self.shared.machine).observe(now, seen, is_ready);
        if changes.is_empty() {
            return;
        }
        changes.iter().for_each(log);
        self.shared.save();
        if let Some(running) = &*lock(&self.running) {
            running.waker.wake();
        }
    }

    /// Everything that is followed, raised or not yet.
    pub fn standing(&self) -> Vec<Standing> {
        lock(&self.shared.machine).standing().collect()
    }

    /// Each way, and why the last heartbeat failed, if it did.
    pub fn ways(&self) -> (Vec<(Way, CourierStatus)>, Option<String>) {
        let machine = lock(&self.shared.machine);
        let error = machine.heartbeat_error().map(str::to_owned);
        (machine.ways().collect(), error)
    }

    /// Sends a test message each way, on the caller's thread; none where nothing runs.
    pub fn try_all(&self) -> Vec<Trial> {
        let tellers = lock(&self.running).as_ref().map(|r| Arc::clone(&r.tellers));
        let now = self.shared.clock.now().wall;
        tellers.map_or_else(Vec::new, |tellers| tellers.try_all(now))
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn work(&self, tellers: &Tellers, waker: &Waker) {
        while !waker.token().is_stopped() {
            let now = self.clock.now();
            let step = lock(&self.machine).begin(now);
            match step {
                AlarmStep::Tell(way, message) => {
                    let outcome = tellers.tell(way, &message, now.wall);
                    let told = outcome.is_ok();
                    self.note(way, outcome.as_ref().err().map(|f| f.reason.as_str()));
                    lock(&self.machine).told(self.clock.now(), way, outcome);
                    if told {
                        self.save();
                    }
                }
                AlarmStep::Beat => {
                    let outcome = tellers.beat(now.wall);
                    self.note_beat(outcome.as_ref().err().map(String::as_str));
                    lock(&self.machine).beaten(now.mono, outcome);
                }
                AlarmStep::Wait(until) => {
                    let wait = until.map(|at| self.clock.real(at.since(now.mono)));
                    let wait = wait.unwrap_or(LOOK_PERIOD).min(LOOK_PERIOD);
                    if waker.wait(wait) == Woken::Stopped {
                        return;
                    }
                }
            }
        }
    }

    /// Says once that a way fails, and once that it works again.
    fn note(&self, way: Way, error: Option<&str>) {
        let failures = lock(&self.machine)
            .ways()
            .find(|(one, _)| *one == way)
            .map_or(0, |(_, status)| status.failures);
        let way = way.as_str();
        match (error, failures) {
            (Some(error), 0) => tracing::warn!(way, error, "alarms cannot be told; tried again"),
            (None, 1..) => tracing::info!(way, "alarms are told again"),
            _ => {}
        }
    }

    fn note_beat(&self, error: Option<&str>) {
        let failed = lock(&self.machine).heartbeat_error().is_some();
        match error {
            Some(error) if !failed => tracing::warn!(error, "the heartbeat is not heard"),
            None if failed => tracing::info!("the heartbeat is heard again"),
            _ => {}
        }
    }

    fn save(&self) {
        let saved = lock(&self.machine).save(self.clock.now());
        if let Err(error) = self.file.write(saved) {
            // The store has the same disk and says so as an alarm.
            tracing::debug!(%error, "what is raised was not saved");
        }
    }
}

fn machine(settings: &AlarmSettings, saved: SavedAlarms, clock: &dyn Clock) -> AlarmMachine {
    AlarmMachine::restore(
        settings.options.clone(),
        &settings.ways.ways(),
        settings.ways.heartbeat_url.is_some(),
        saved,
        clock.now(),
        fastrand::u64(..),
    )
}

fn log(change: &Transition) {
    let (alarm, word) = match change {
        Transition::Raised(alarm) => (alarm, "alarm raised"),
        Transition::Cleared(alarm) => (alarm, "alarm cleared"),
    };
    let Alarm {
        condition, since, ..
    } = alarm;
    let Condition {
        severity,
        code,
        subject,
        message,
        remedy,
        ..
    } = condition;
    match (change, severity) {
        (Transition::Cleared(_), _) => tracing::info!(code, subject, %since, "{word}"),
        (_, Severity::Error) => {
            tracing::error!(code, subject, %since, message, remedy, "{word}");
        }
        (_, Severity::Warning) => {
            tracing::warn!(code, subject, %since, message, remedy, "{word}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the process, so what a lock guards is not looked at half changed for long.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
