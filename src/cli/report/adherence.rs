//! `report adherence`: a schedule against what agents did.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::super::books::{self, Books, Wanted};
use super::super::{ConfigFile, Failure, export, remote};
use super::schedule::{self, Line};
use super::{Sheet, decimal};
use crate::clock::{Clock as _, SystemClock};
use crate::control::Request;
use crate::control::protocol::{AgentsNowPage, ExportTable};
use crate::destination::file::Zone;
use crate::domain::ids::{SourceName, StateText};
use crate::domain::record::{AgentChange, Category, Origin, Record, StateTransaction};
use crate::domain::report::adherence::{
    AdherenceReport, AdherenceSums, AgentKey, Doing, Scheduled, Thresholds,
};
use crate::domain::timestamp::{WallTime, millis};
use crate::lifecycle::exit::Exit;

/// Schedule adherence and conformance per agent.
///
/// The schedule is a CSV with a first line that names its columns, in any order:
///   agent     the agent's id, or user name
///   start     RFC 3339, Unix seconds, or the time of the zone: 2026-07-25 09:00
///   end       the moment after the last
///   expected  a category (AVAILABLE, AUX, ...), a state as Thrio writes it, or `IN_SERVICE`
///             (AVAILABLE, BUSY, WORKING or WRAPUP); several with | between them, any will do
///
/// adherence = 100 x (1 - out of adherence / scheduled), not below 0; conformance = 100 x time in
/// service / time scheduled `IN_SERVICE`, which may pass 100. Time that nobody saw counts as neither
/// and is shown by itself.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The schedule.
    #[arg(long, value_name = "FILE")]
    schedule: PathBuf,
    /// The first moment: RFC 3339 or Unix seconds; the schedule's beginning where not given.
    #[arg(long, value_name = "TIME", value_parser = super::super::backfill::moment)]
    from: Option<WallTime>,
    /// The moment after the last; the schedule's end, or now, where not given.
    #[arg(long, value_name = "TIME", value_parser = super::super::backfill::moment)]
    to: Option<WallTime>,
    /// One source; all where not given.
    #[arg(long, value_name = "NAME", value_parser = SourceName::new)]
    source: Option<SourceName>,
    /// The zone of times in the schedule, such as Europe/Berlin; the source's where not given.
    #[arg(long, value_name = "ZONE", value_parser = export::zone)]
    time_zone: Option<Zone>,
    /// A start that is late by no more than this is on time, such as 5m; a later one counts whole.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration, default_value = "0s")]
    late_start: Duration,
    /// The same of an end that is too early.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration, default_value = "0s")]
    early_end: Duration,
    /// CSV (RFC 4180) instead of a table.
    #[arg(long)]
    csv: bool,
}

const COLUMNS: [&str; 10] = [
    "source",
    "agent_id",
    "agent",
    "scheduled_s",
    "adherent_s",
    "out_of_adherence_s",
    "unknown_s",
    "adherence_percent",
    "in_service_s",
    "conformance_percent",
];

/// Makes the report.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let sources = books::sources(&config, arguments.source.as_ref())?;
    let zones = books::zones(&config, &sources, arguments.time_zone.as_ref());
    let lines = schedule::read(&arguments.schedule, &books::one_zone(&zones))?;
    let books = Books::open(&config)?;
    let mut people = People::default();
    for source in &sources {
        people.read(&books, source)?;
    }
    let now = SystemClock::new().now().wall;
    let first = lines.iter().map(|line| line.scheduled.from).min();
    let last = lines.iter().map(|line| line.scheduled.to).max();
    let from = arguments.from.or(first).unwrap_or(now);
    let to = arguments.to.or(last).unwrap_or(now).min(now);
    let thresholds = Thresholds {
        late_start_ms: millis(arguments.late_start),
        early_end_ms: millis(arguments.early_end),
    };
    let schedule = people.schedule(lines)?;
    let mut seen_until = BTreeMap::new();
    let mut report = AdherenceReport::new(from, to.max(from), thresholds, schedule)
        .map_err(|overlap| Failure::new(Exit::Usage, overlap.to_string()))?;
    for source in &sources {
        tell(&mut report, &books, source, (from, now), &people)?;
        seen_until.insert(source.clone(), people.seen_until.get(source).copied());
    }
    let sums = report.finish(|source| seen_until.get(source).copied().flatten());
    people.sheet(&sums).show(arguments.csv);
    Ok(Exit::Ok)
}

/// Who is who, what they do now, and what states mean.
#[derive(Default)]
struct People {
    agents: BTreeMap<AgentKey, Person>,
    meanings: HashMap<(SourceName, StateText), Category>,
    /// Until when somebody saw each source's agents.
    seen_until: BTreeMap<SourceName, WallTime>,
}

struct Person {
    username: Option<String>,
    display_name: Option<String>,
    now: Option<(WallTime, Doing)>,
}

impl People {
    fn read(&mut self, books: &Books<'_>, source: &SourceName) -> anyhow::Result<()> {
        let wanted = Wanted {
            table: ExportTable::Agents,
            source: source.clone(),
            from: WallTime::from_ms(0),
            to: WallTime::from_ms(0),
        };
        books.each_page(&wanted, |page| {
            for one in page.records {
                if let Record::Agent(agent) = one.record {
                    self.add(agent);
                }
            }
            Ok(())
        })?;
        let mut after = None;
        loop {
            let request = Request::AgentsNow {
                source: source.clone(),
                after,
            };
            let page: AgentsNowPage = books.ask(&request)?;
            after = page.agents.last().map(|(state, _)| state.agent.clone());
            for (state, _) in page.agents {
                let key = (state.source, state.agent);
                let doing = Doing::state(state.state, state.category);
                self.person(key).now = Some((state.since, doing));
            }
            let codes = page.codes.into_iter();
            self.meanings
                .extend(codes.map(|code| ((code.source, code.state), code.category)));
            self.seen_until
                .extend(page.seen_until.map(|at| (source.clone(), at)));
            if !page.more {
                return Ok(());
            }
        }
    }

    fn person(&mut self, key: AgentKey) -> &mut Person {
        self.agents.entry(key).or_insert(Person {
            username: None,
            display_name: None,
            now: None,
        })
    }

    fn add(&mut self, agent: AgentChange) {
        let person = self.person((agent.source, agent.agent));
        person.username.clone_from(&agent.details.username);
        person.display_name.clone_from(&agent.details.display_name);
    }

    /// The schedule by agent; whom nobody knows is told of, all at once.
    fn schedule(&self, lines: Vec<Line>) -> anyhow::Result<BTreeMap<AgentKey, Vec<Scheduled>>> {
        let by_username = self.agents.iter().filter_map(|(key, person)| {
            let name = person.username.as_ref()?.to_lowercase();
            Some((name, key))
        });
        let by_username: HashMap<String, &AgentKey> = by_username.collect();
        let by_id: HashMap<&str, &AgentKey> = self
            .agents
            .keys()
            .map(|key| (key.1.as_str(), key))
            .collect();
        let (mut schedule, mut strangers) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for line in lines {
            let known = by_id.get(line.agent.as_str());
            match known.or_else(|| by_username.get(&line.agent.to_lowercase())) {
                Some(key) => schedule
                    .entry((*key).clone())
                    .or_default()
                    .push(line.scheduled),
                None => strangers.push(format!(
                    "line {}: nobody is called {}",
                    line.number, line.agent
                )),
            }
        }
        if strangers.is_empty() {
            Ok(schedule)
        } else {
            Err(Failure::new(Exit::Usage, strangers.join("\n")).into())
        }
    }

    fn sheet(&self, sums: &BTreeMap<AgentKey, AdherenceSums>) -> Sheet {
        let seconds = |ms: i64| ((ms + 500) / 1000).to_string();
        let row = |(key, sums): (&AgentKey, &AdherenceSums)| {
            let person = self.agents.get(key);
            let name = person.and_then(|p| p.display_name.clone().or_else(|| p.username.clone()));
            vec![
                key.0.to_string(),
                key.1.to_string(),
                name.unwrap_or_default(),
                seconds(sums.scheduled_ms),
                seconds(sums.adherent_ms),
                seconds(sums.out_ms),
                seconds(sums.unknown_ms),
                decimal(sums.adherence(), 1),
                seconds(sums.in_service_ms),
                decimal(sums.conformance(), 1),
            ]
        };
        Sheet {
            columns: &COLUMNS,
            rows: sums.iter().map(row).collect(),
        }
    }

    /// What an agent did before this transaction. Before one that follows a gap, nobody saw it.
    fn before(&self, transaction: &StateTransaction) -> Doing {
        let previous = transaction.previous_state.clone();
        let previous = previous
            .filter(|state| transaction.origin != Origin::Resync && *state != StateText::unknown());
        previous.map_or(Doing::UNKNOWN, |state| {
            let key = (transaction.source.clone(), state);
            let category = self.meanings.get(&key).copied();
            Doing::state(key.1, category.unwrap_or(Category::Unmapped))
        })
    }
}

/// Tells the report what the source's agents did. The first transaction of each behind the span's
/// beginning says what came before it; whoever has none is what it is now, if since before.
fn tell(
    report: &mut AdherenceReport,
    books: &Books<'_>,
    source: &SourceName,
    (from, now): (WallTime, WallTime),
    people: &People,
) -> anyhow::Result<()> {
    let wanted = Wanted {
        table: ExportTable::Transactions,
        source: source.clone(),
        from,
        to: now,
    };
    books.each_page(&wanted, |page| {
        for one in page.records {
            let Record::Transaction(transaction) = one.record else {
                continue;
            };
            let key = (transaction.source.clone(), transaction.agent.clone());
            if !report.is_scheduled(&key) {
                continue;
            }
            if report.is_untold(&key) {
                report.tell(&key, from, people.before(&transaction));
            }
            let doing = Doing::state(transaction.state, transaction.category);
            report.tell(&key, transaction.started_at, doing);
        }
        Ok(())
    })?;
    let untold: HashSet<AgentKey> = report.untold().cloned().collect();
    for key in untold.into_iter().filter(|key| key.0 == *source) {
        let person = people.agents.get(&key);
        if let Some((since, doing)) = person.and_then(|person| person.now.clone()) {
            report.tell(&key, since, doing);
        }
    }
    Ok(())
}
