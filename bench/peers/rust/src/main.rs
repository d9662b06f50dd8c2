//! `DepositMoney` by many callers at once, on the crates `cqrs-es` and `postgres-es` as their documentation sets them up: `postgres_cqrs` on
//! `default_postgress_pool` (10 connections), the crate's own tables. A lost race is decided again by the caller, since the crate does not.
//!
//! Speaks as every peer does (bench/commands/drive.ts): `--url … --callers 1,64 --seconds 1 --accounts 1000 --event large`, one JSON line at the start and one
//! at the end of each measurement.
use std::collections::{BTreeMap, HashMap};
use std::env::args;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, AggregateError, DomainEvent};
use postgres_es::{default_postgress_pool, postgres_cqrs, PostgresCqrs};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Executor, Pool, Postgres, Row};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {
    owner: String,
    balance: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum AccountEvent {
    AccountOpened { owner: String },
    MoneyDeposited { amount: f64, balance: f64 },
    LargeMoneyDeposited(Box<LargeDeposit>),
}

/// The large event, with the fields of bench/commands/event.ts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LargeDeposit {
    amount: f64,
    balance: f64,
    currency: String,
    reference: String,
    description: String,
    channel: String,
    branch: String,
    teller: String,
    counterparty: String,
    counterparty_iban: String,
    value_date: String,
    booking_date: String,
    fee: f64,
    exchange_rate: f64,
    batch: i64,
    instant: bool,
    reversed: bool,
    category: String,
}

impl LargeDeposit {
    fn new(amount: f64, balance: f64) -> Self {
        Self {
            amount,
            balance,
            currency: "EUR".into(),
            reference: "RF18-5390-0754-7034".into(),
            description: "Invoice 2026-0417 of March, paid in full after the second reminder".into(),
            channel: "online-banking".into(),
            branch: "Zürich-Oerlikon".into(),
            teller: "terminal-0042".into(),
            counterparty: "Müller & Söhne Holzbau GmbH".into(),
            counterparty_iban: "CH93 0076 2011 6238 5295 7".into(),
            value_date: "2026-04-17".into(),
            booking_date: "2026-04-16T09:41:07.318Z".into(),
            fee: 0.35,
            exchange_rate: 1.0642,
            batch: 118_402,
            instant: true,
            reversed: false,
            category: "income/invoices".into(),
        }
    }
}

#[derive(Debug)]
enum AccountCommand {
    OpenAccount { owner: String },
    DepositMoney { amount: f64, large: bool },
}

#[derive(Debug)]
struct Refused(&'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for Refused {}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        match self {
            AccountEvent::AccountOpened { .. } => "AccountOpened",
            AccountEvent::MoneyDeposited { .. } | AccountEvent::LargeMoneyDeposited(_) => "MoneyDeposited",
        }
        .into()
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, command: AccountCommand, _: &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        match command {
            AccountCommand::OpenAccount { owner } => {
                if !self.owner.is_empty() {
                    return Err(Refused("already-open"));
                }
                sink.write(AccountEvent::AccountOpened { owner }, self).await;
            }
            AccountCommand::DepositMoney { amount, large } => {
                if self.owner.is_empty() {
                    return Err(Refused("not-open"));
                }
                if amount.is_nan() || amount <= 0.0 {
                    return Err(Refused("invalid"));
                }
                let balance = self.balance + amount;
                let event = if large {
                    AccountEvent::LargeMoneyDeposited(Box::new(LargeDeposit::new(amount, balance)))
                } else {
                    AccountEvent::MoneyDeposited { amount, balance }
                };
                sink.write(event, self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::AccountOpened { owner } => self.owner = owner,
            AccountEvent::MoneyDeposited { balance, .. } => self.balance = balance,
            AccountEvent::LargeMoneyDeposited(deposit) => self.balance = deposit.balance,
        }
    }
}

type Bank = Arc<PostgresCqrs<Account>>;

/// Returns how often it had to be decided again.
async fn execute(bank: &Bank, id: &str, command: impl Fn() -> AccountCommand) -> usize {
    let mut conflicts = 0;
    loop {
        match bank.execute(id, command()).await {
            Ok(()) => return conflicts,
            Err(AggregateError::AggregateConflict) => conflicts += 1,
            Err(error) => panic!("{id}: {error}: {error:?}"),
        }
    }
}

async fn open_all(bank: &Bank, ids: &Arc<Vec<String>>) {
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (bank, ids, next) = (bank.clone(), ids.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    execute(&bank, id, || AccountCommand::OpenAccount { owner: "ann".into() }).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("open");
    }
}

struct Load {
    latencies: Vec<f64>,
    conflicts: usize,
    seconds: f64,
}

async fn load(bank: &Bank, ids: &Arc<Vec<String>>, callers: usize, time: Duration, large: bool) -> Load {
    let next = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (bank, ids, next, over) = (bank.clone(), ids.clone(), next.clone(), over.clone());
            tokio::spawn(async move {
                let (mut latencies, mut conflicts) = (vec![], 0);
                while !over.load(Ordering::Relaxed) {
                    let id = &ids[next.fetch_add(1, Ordering::Relaxed) % ids.len()];
                    let start = Instant::now();
                    conflicts += execute(&bank, id, || AccountCommand::DepositMoney { amount: 1.0, large }).await;
                    latencies.push(start.elapsed().as_secs_f64() * 1_000.0);
                }
                (latencies, conflicts)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut all = Load { latencies: vec![], conflicts: 0, seconds: 0.0 };
    for task in tasks {
        let (latencies, conflicts) = task.await.expect("caller");
        all.latencies.extend(latencies);
        all.conflicts += conflicts;
    }
    all.seconds = began.elapsed().as_secs_f64();
    all.latencies.sort_by(f64::total_cmp);
    all
}

/// Reads all rows back: each account's events must follow without a gap, and no deposit may be lost or doubled.
async fn faults(pool: &Pool<Postgres>, deposits: usize) -> Vec<String> {
    let rows = sqlx::query("SELECT aggregate_id, sequence, payload FROM events ORDER BY aggregate_id, sequence")
        .fetch_all(pool)
        .await
        .expect("events");
    let mut faults = vec![];
    let mut seen: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    for row in rows {
        let (id, sequence): (String, i64) = (row.get(0), row.get(1));
        let event: AccountEvent = serde_json::from_value(row.get(2)).expect("payload");
        let (before, balance) = seen.get(&id).copied().unwrap_or((0, 0.0));
        if sequence != before + 1 {
            faults.push(format!("Event {sequence} of {id} follows {before}."));
        }
        let balance = match event {
            AccountEvent::MoneyDeposited { balance, .. } => balance,
            AccountEvent::LargeMoneyDeposited(deposit) => deposit.balance,
            AccountEvent::AccountOpened { .. } => balance,
        };
        seen.insert(id, (sequence, balance));
    }
    let sum: f64 = seen.values().map(|(_, balance)| balance).sum();
    if sum != deposits as f64 {
        faults.push(format!("The balances add up to {sum} after deposits of {deposits}."));
    }
    faults
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn ids(name: &str, accounts: usize) -> Arc<Vec<String>> {
    Arc::new((0..accounts).map(|i| format!("{name}-{i}")).collect())
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = args().skip(1).collect();
    let options: HashMap<&str, &str> = args.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let number = |name: &str| options[name].parse::<f64>().expect("a number");
    let (seconds, accounts) = (number("--seconds"), number("--accounts") as usize);
    let large = options["--event"] == "large";
    let callers: Vec<usize> = options["--callers"].split(',').map(|count| count.parse().expect("a number")).collect();

    let pool = default_postgress_pool(options["--url"]).await;
    pool.execute(include_str!("../../../../test/fixtures/rust/postgres.sql")).await.expect("tables");
    let bank: Bank = Arc::new(postgres_cqrs(pool.clone(), vec![], ()));

    let warm_up = ids("warm-up", accounts);
    open_all(&bank, &warm_up).await;
    let mut deposits = 0;
    for count in callers {
        let ids = ids(&format!("account-{count}"), accounts);
        open_all(&bank, &ids).await;
        deposits += load(&bank, &warm_up, count, Duration::from_secs_f64(seconds / 2.0), large).await.latencies.len();
        println!("{}", json!({ "begin": count }));
        let Load { latencies, conflicts, seconds } = load(&bank, &ids, count, Duration::from_secs_f64(seconds), large).await;
        deposits += latencies.len();
        println!(
            "{}",
            json!({
                "callers": count,
                "commands": latencies.len(),
                "commandsPerSecond": latencies.len() as f64 / seconds,
                "p50Ms": percentile(&latencies, 50),
                "p99Ms": percentile(&latencies, 99),
                "conflicts": conflicts,
            })
        );
    }
    println!("{}", json!({ "faults": faults(&pool, deposits).await }));
}
