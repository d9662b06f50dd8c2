//! One command after the other on the crates `cqrs-es` and `dynamo-es`, as their documentation sets them up: `dynamodb_cqrs`, `dynamodb_snapshot_cqrs` with a snapshot at
//! each command, and `GenericQuery` on a `DynamoViewRepository`. `costs <url>` takes one line at a time, `<mode> <what> <id> [times]`, and answers `done` when it is done, so that
//! who asks can count the requests in between.
use std::env::args;
use std::io::stdin;
use std::sync::Arc;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::{Client, Config};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{GenericQuery, PersistedEventStore};
use cqrs_es::{Aggregate, AggregateError, DomainEvent, EventEnvelope, EventStore, View};
use dynamo_es::{dynamodb_cqrs, dynamodb_snapshot_cqrs, DynamoEventRepository, DynamoViewRepository};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {
    balance: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum AccountEvent {
    MoneyDeposited { amount: f64, note: String },
}

#[derive(Debug)]
enum AccountCommand {
    DepositMoney { times: usize },
    CloseAccount,
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
        "MoneyDeposited".into()
    }

    fn event_version(&self) -> String {
        "1".into()
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
            AccountCommand::DepositMoney { times } => {
                for _ in 0..times {
                    sink.write(AccountEvent::MoneyDeposited { amount: 1.0, note: "x".repeat(100) }, self).await;
                }
                Ok(())
            }
            AccountCommand::CloseAccount => Err(Refused("not-empty")),
        }
    }

    fn apply(&mut self, event: AccountEvent) {
        let AccountEvent::MoneyDeposited { amount, .. } = event;
        self.balance += amount;
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Balance {
    balance: f64,
}

impl View<Account> for Balance {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        let AccountEvent::MoneyDeposited { amount, .. } = &event.payload;
        self.balance += amount;
    }
}

type Balances = GenericQuery<DynamoViewRepository<Balance, Account>, Balance, Account>;

fn balances(client: &Client) -> Balances {
    let mut query = Balances::new(Arc::new(DynamoViewRepository::new("Balances", client.clone())));
    query.use_error_handler(Box::new(|error| panic!("the view: {error}")));
    query
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = args().nth(1).expect("the address of DynamoDB");
    let client = Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .endpoint_url(url)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build(),
    );
    for line in stdin().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["view", "load", id] => drop(balances(&client).load(id).await.expect("a row")),
            ["snapshot", "load", id] => {
                let store = PersistedEventStore::<_, Account>::new_snapshot_store(DynamoEventRepository::new(client.clone()), 1);
                store.load_aggregate(id).await.expect("an account");
            }
            [_, "load", id] => {
                let store = PersistedEventStore::<_, Account>::new_event_store(DynamoEventRepository::new(client.clone()));
                store.load_aggregate(id).await.expect("an account");
            }
            [mode, what, id, ref rest @ ..] => {
                let cqrs = match mode {
                    "snapshot" => dynamodb_snapshot_cqrs(client.clone(), vec![], 1, ()),
                    "view" => dynamodb_cqrs(client.clone(), vec![Box::new(balances(&client))], ()),
                    _ => dynamodb_cqrs(client.clone(), vec![], ()),
                };
                let command = match what {
                    "deposit" => AccountCommand::DepositMoney { times: rest[0].parse().expect("a number") },
                    _ => AccountCommand::CloseAccount,
                };
                match (what, cqrs.execute(id, command).await) {
                    ("deposit", Ok(())) | ("close", Err(AggregateError::UserError(_))) => {}
                    (_, outcome) => panic!("{line}: {outcome:?}"),
                }
            }
            _ => panic!("{line}?"),
        }
        println!("done");
    }
}
