//! Replays all events into a view with the crates `cqrs-es` and `postgres-es`, as their documentation does it: `QueryReplay` into a `GenericQuery` on the crate's own view table.
//! `replay --url …` prints one JSON line: the events, the seconds, and what the rows add up to.
use std::env::args;
use std::sync::Arc;
use std::time::Instant;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{GenericQuery, QueryReplay};
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, View};
use postgres_es::{default_postgress_pool, PostgresEventRepository, PostgresViewRepository};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, Row};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum AccountEvent {
    AccountOpened { owner: String },
    MoneyDeposited { amount: f64, balance: f64 },
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        match self {
            AccountEvent::AccountOpened { .. } => "AccountOpened",
            AccountEvent::MoneyDeposited { .. } => "MoneyDeposited",
        }
        .into()
    }

    fn event_version(&self) -> String {
        "1.0".into()
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = ();
    type Event = AccountEvent;
    type Error = std::fmt::Error;
    type Services = ();

    async fn handle(&mut self, _: (), _: &(), _: &EventSink<Self>) -> Result<(), std::fmt::Error> {
        Ok(())
    }

    fn apply(&mut self, _: AccountEvent) {}
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Balance {
    owner: String,
    balance: f64,
}

impl View<Account> for Balance {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        match &event.payload {
            AccountEvent::AccountOpened { owner } => self.owner = owner.clone(),
            AccountEvent::MoneyDeposited { balance, .. } => self.balance = *balance,
        }
    }
}

#[tokio::main]
async fn main() {
    let url = args().skip_while(|arg| arg != "--url").nth(1).expect("--url");
    let pool = default_postgress_pool(&url).await;
    pool.execute("CREATE TABLE balance (view_id text PRIMARY KEY, version bigint NOT NULL, payload json NOT NULL)").await.expect("table");
    let row = pool.fetch_one("SELECT count(*) AS events FROM events").await.expect("count");
    let events: i64 = row.get("events");
    let views = Arc::new(PostgresViewRepository::<Balance, Account>::new("balance", pool.clone()));
    let replay = QueryReplay::new(PostgresEventRepository::new(pool.clone()), GenericQuery::new(views));
    let began = Instant::now();
    replay.replay_all().await.expect("replay");
    let seconds = began.elapsed().as_secs_f64();
    let row = pool.fetch_one("SELECT sum((payload ->> 'balance')::float8) AS total FROM balance").await.expect("sum");
    let total: f64 = row.get("total");
    println!("{{\"events\":{events},\"seconds\":{seconds},\"total\":{total}}}");
}
