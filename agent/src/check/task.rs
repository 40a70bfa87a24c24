//! The tasks of the checks: one looks again and again, and none fires with all the others.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io, thread,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use vrrp::track::Reading;

use super::{
    Check, Question, Subject, Who, address,
    board::{Board, CheckMemory},
    command, file, grpc, http, interface, kubernetes, process, tcp,
};
use crate::{
    client::{Endpoint, Names},
    clock,
};

/// Over how long the first looks of all checks are spread; less where a check's interval is shorter.
const SPREAD: Duration = Duration::from_millis(250);

/// Threads of calls that hang. A check has one such call at most, so that only so many checks could leave none to the others.
const BLOCKING_MAX: usize = 1024;

/// What there is to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) reading: Reading,
    /// Why, as a clause.
    pub(super) detail: String,
}

impl Outcome {
    pub(super) const fn failing(detail: String) -> Self {
        Self { reading: Reading::Failing, detail }
    }
}

impl From<Result<String, String>> for Outcome {
    fn from(looked: Result<String, String>) -> Self {
        match looked {
            Ok(detail) => Self { reading: Reading::Passing, detail },
            Err(detail) => Self::failing(detail),
        }
    }
}

/// What a look comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// What is known, and since when it is not known any better; `None`: nothing new, and what was known before stays.
    pub(super) seen: Option<(Outcome, vrrp::Instant)>,
    /// Why nothing newer can be seen at the moment, as a clause.
    pub(super) blind: Option<String>,
}

impl From<Outcome> for Look {
    fn from(outcome: Outcome) -> Self {
        Self { seen: Some((outcome, clock::now())), blind: None }
    }
}

/// The checks that run.
#[derive(Debug)]
pub struct Checks {
    board: Board,
    /// Where they run.
    runtime: Handle,
    running: BTreeMap<String, Running>,
    /// Dropped, it ends their thread.
    _end: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Running {
    check: Check,
    task: JoinHandle<()>,
    /// Dropped, it ends the task.
    end: oneshot::Sender<()>,
}

impl Checks {
    /// Lists `checks`, which do not run yet, as `memory` says of them, and starts the thread that they will run on.
    pub fn new(checks: &[Check], memory: &[CheckMemory]) -> io::Result<Self> {
        let board = Board::default();
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("checks".to_owned()).spawn(move || {
            // Nothing is ever sent: this waits for the other end to go.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        for check in checks {
            board.list(check, memory.iter().find(|memory| memory.is_of(&check.name)));
        }
        Ok(Self { board, runtime: handle, running: BTreeMap::new(), _end: end })
    }

    /// Where they report.
    #[must_use]
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// Lets those of `checks` run, and no others. One that has not changed is not touched, and one that has changed goes on
    /// from what it has settled on.
    pub async fn run(&mut self, checks: &[Check]) {
        let kept = |running: &Running| checks.contains(&running.check);
        let (kept, gone): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.running).into_iter().partition(|(_, running)| kept(running));
        self.running = kept;
        join_all(gone.into_values().map(Running::stop)).await;
        for name in self.board.names() {
            if !checks.iter().any(|check| check.name == name) {
                self.board.strike(&name);
            }
        }
        for check in checks {
            if !self.running.contains_key(&check.name) {
                self.board.list(check, None);
                let running = Running::start(check.clone(), self.board.clone(), &self.runtime);
                self.running.insert(check.name.clone(), running);
            }
        }
    }

    /// Stops all of them, with the programs that they run; what is known stays.
    pub async fn stop(&mut self) {
        join_all(std::mem::take(&mut self.running).into_values().map(Running::stop)).await;
    }
}

impl Running {
    fn start(check: Check, board: Board, runtime: &Handle) -> Self {
        let (end, ended) = oneshot::channel();
        let task = runtime.spawn(run(check.clone(), board, ended));
        Self { check, task, end }
    }

    async fn stop(self) {
        drop(self.end);
        // One that has panicked has ended too.
        let _ = self.task.await;
    }
}

/// Looks until the other end of `ended` is gone. A disturbance hastens a look, though not one that would count together with
/// another within an interval: it is the number of intervals that bounds how fast a check changes its mind.
async fn run(check: Check, board: Board, mut ended: oneshot::Receiver<()>) {
    let mut prober = Prober::new(&check);
    let mut ticks = interval_at(Instant::now() + first_wait(&check), check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let may_hasten = board.is_quiet(&check.name);
        tokio::select! {
            _ = &mut ended => break,
            _ = ticks.tick() => {}
            () = prober.disturbed(), if may_hasten => ticks.reset(),
        }
        let begun = Instant::now();
        let looked = tokio::select! {
            _ = &mut ended => break,
            looked = timeout(check.timeout, prober.look()) => looked,
        };
        match looked {
            Ok(look) => board.note(&check.name, look, begun.elapsed()),
            Err(_) => {
                let outcome = Outcome::failing(format!("no result within {:?}", check.timeout));
                board.note(&check.name, outcome.into(), begun.elapsed());
                prober.give_up().await;
            }
        }
    }
    prober.give_up().await;
}

/// How long a check waits for its first look: its name says which part of the time that all are spread over.
fn first_wait(check: &Check) -> Duration {
    let mut hasher = DefaultHasher::new();
    check.name.hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    check.interval.min(SPREAD) * part / 1000
}

/// What looks.
#[derive(Debug)]
enum Prober {
    Http(http::Asker),
    Tcp(Endpoint, Names),
    Grpc(grpc::Asker),
    Command(Box<command::Runner>),
    Process(process::Watcher),
    File(file::Reader),
    Interface(interface::Watcher),
    Address(address::Asker),
    Kubernetes(kubernetes::Watcher),
}

impl Prober {
    fn new(check: &Check) -> Self {
        match check.subject.clone() {
            Subject::Http(request) => Self::Http(http::Asker::new(request)),
            Subject::Tcp(endpoint) => Self::Tcp(endpoint, Names::default()),
            Subject::Grpc(request) => Self::Grpc(grpc::Asker::new(request)),
            Subject::Command(command) => Self::Command(Box::new(command::Runner::new(check.name.clone(), command))),
            Subject::Process(processes) => Self::Process(process::Watcher::new(processes)),
            Subject::File(path) => Self::File(file::Reader::new(path)),
            Subject::Interface(name) => Self::Interface(interface::Watcher::new(name)),
            Subject::Address(neighbor) => Self::Address(address::Asker::new(neighbor)),
            Subject::Kubernetes(asked) => Self::Kubernetes(kubernetes::Watcher::new(asked)),
        }
    }

    async fn look(&mut self) -> Look {
        let looked = match self {
            Self::Http(asker) => asker.look().await,
            Self::Tcp(endpoint, names) => tcp::look(endpoint, names).await,
            Self::Grpc(asker) => asker.look().await,
            Self::Command(runner) => runner.look().await,
            Self::Process(watcher) => watcher.look().await,
            Self::File(reader) => return reader.look().await.into(),
            Self::Interface(watcher) => watcher.look().await,
            Self::Address(asker) => asker.look().await,
            Self::Kubernetes(watcher) => return watcher.look(),
        };
        Outcome::from(looked).into()
    }

    /// Returns when a look is worth while before it is due; most kinds of check are never told.
    async fn disturbed(&mut self) {
        match self {
            Self::Process(watcher) => watcher.disturbed().await,
            Self::Interface(watcher) => watcher.disturbed().await,
            Self::Kubernetes(watcher) => watcher.disturbed().await,
            Self::Http(_) | Self::Tcp(..) | Self::Grpc(_) | Self::Command(_) | Self::File(_) | Self::Address(_) => {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Leaves nothing of a look that was broken off.
    async fn give_up(&mut self) {
        match self {
            Self::Command(runner) => runner.give_up().await,
            Self::Http(_)
            | Self::Tcp(..)
            | Self::Grpc(_)
            | Self::Process(_)
            | Self::File(_)
            | Self::Interface(_)
            | Self::Address(_)
            | Self::Kubernetes(_) => {}
        }
    }
}

impl fmt::Display for Subject {
    /// As the configuration has it, in short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = |is_secret| if is_secret { "https" } else { "http" };
        match self {
            Self::Http(request) => {
                write!(f, "{}://{}{}", scheme(request.server.tls.is_some()), request.server.endpoint, request.path)
            }
            Self::Tcp(endpoint) => write!(f, "tcp {endpoint}"),
            Self::Grpc(request) if request.service.is_empty() => write!(f, "grpc {}", request.server.endpoint),
            Self::Grpc(request) => write!(f, "grpc {} {}", request.server.endpoint, request.service),
            Self::Command(command) => write!(f, "command {}", command.path.display()),
            Self::Process(processes) => write!(f, "process {}", processes.program),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Address(neighbor) => match neighbor.who {
                Who::Address(address) => write!(f, "address {address}"),
                Who::Gateway(family) => write!(f, "gateway over {family}"),
            },
            Self::Kubernetes(asked) => match &asked.question {
                Question::Pods { namespace, selector, .. } => write!(f, "pods {selector} in {namespace}"),
                Question::Schedulable => write!(f, "node {}", asked.node),
            },
        }
    }
}
