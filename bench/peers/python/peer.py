"""The bank account of the benchmark on pyeventsourcing, as its documentation sets it up.

An `Application` with an `Aggregate`, its Postgres module, and a pool of 10 connections. Each caller
is a thread. Losing a race raises `IntegrityError`, and the caller decides again. The program speaks
as every peer does (bench/commands/drive.ts).
"""

import json
import sys
import threading
import time
from argparse import ArgumentParser
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError

parser = ArgumentParser()
for name in ("url", "callers", "seconds", "accounts", "event", "system"):
    parser.add_argument(f"--{name}", default="")
asked = parser.parse_args()
url, seconds, accounts = urlsplit(asked.url), float(asked.seconds), int(asked.accounts)

# The large event, with the fields of bench/commands/event.ts.
LARGE = {
    "currency": "EUR",
    "reference": "RF18-5390-0754-7034",
    "description": "Invoice 2026-0417 of March, paid in full after the second reminder",
    "channel": "online-banking",
    "branch": "Zürich-Oerlikon",
    "teller": "terminal-0042",
    "counterparty": "Müller & Söhne Holzbau GmbH",
    "counterparty_iban": "CH93 0076 2011 6238 5295 7",
    "value_date": "2026-04-17",
    "booking_date": "2026-04-16T09:41:07.318Z",
    "fee": 0.35,
    "exchange_rate": 1.0642,
    "batch": 118_402,
    "instant": True,
    "reversed": False,
    "category": "income/invoices",
}
details = LARGE if asked.event == "large" else {}


class Account(Aggregate):
    class Opened(Aggregate.Created):
        name: str
        owner: str

    class MoneyDeposited(Aggregate.Event):
        amount: float
        balance: float

    class LargeMoneyDeposited(MoneyDeposited):
        currency: str
        reference: str
        description: str
        channel: str
        branch: str
        teller: str
        counterparty: str
        counterparty_iban: str
        value_date: str
        booking_date: str
        fee: float
        exchange_rate: float
        batch: int
        instant: bool
        reversed: bool
        category: str

    @event(Opened)
    def __init__(self, name: str, owner: str):
        self.owner = owner
        self.balance = 0

    @staticmethod
    def create_id(name: str):
        return uuid5(NAMESPACE_URL, f"/accounts/{name}")

    def deposit(self, amount: float):
        if not amount > 0:
            raise ValueError("invalid")
        kind = self.LargeMoneyDeposited if details else self.MoneyDeposited
        self.trigger_event(kind, amount=amount, balance=self.balance + amount, **details)

    @event(MoneyDeposited)
    def _deposited(self, balance: float):
        self.balance = balance

    @event(LargeMoneyDeposited)
    def _deposited_large(self, balance: float):
        self.balance = balance


bank = Application(
    env={
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path[1:],
        "POSTGRES_HOST": url.hostname,
        "POSTGRES_PORT": str(url.port),
        "POSTGRES_USER": url.username,
        "POSTGRES_PASSWORD": url.password or "",
        "POSTGRES_POOL_SIZE": "10",
        "POSTGRES_MAX_OVERFLOW": "0",
    }
)


def open_account(name):
    bank.save(Account(name=name, owner="ann"))


def deposit(name):
    """Returns how often it had to be decided again."""
    conflicts = 0
    while True:
        account = bank.repository.get(Account.create_id(name))
        account.deposit(1)
        try:
            bank.save(account)
            return conflicts
        except IntegrityError:
            conflicts += 1


class Turns:
    """Hands out the names in turn, to all threads."""

    def __init__(self, names):
        self.names, self.next, self.lock = names, 0, threading.Lock()

    def take(self):
        with self.lock:
            self.next += 1
            return self.next - 1


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def each(names, does):
    turns = Turns(names)

    def work():
        while (turn := turns.take()) < len(names):
            does(names[turn])

    in_threads(16, work)


def load(names, callers, duration):
    turns, latencies, conflicts = Turns(names), [], []
    began = time.perf_counter()

    def work():
        start = time.perf_counter()
        while start < began + duration:
            conflicts.append(deposit(names[turns.take() % len(names)]))
            now = time.perf_counter()
            latencies.append((now - start) * 1_000)
            start = now

    in_threads(callers, work)
    return sorted(latencies), sum(conflicts), time.perf_counter() - began


def say(line):
    print(json.dumps(line), flush=True)


def percentile(ordered, percent):
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def opened(name):
    names = [f"{name}-{i}" for i in range(accounts)]
    each(names, open_account)
    return names


warm, deposits, everything = opened("warm"), 0, []
everything += warm
for count in map(int, asked.callers.split(",")):
    names = opened(f"account{count}")
    everything += names
    deposits += len(load(warm, count, seconds / 2)[0])
    say({"begin": count})
    latencies, conflicts, taken = load(names, count, seconds)
    deposits += len(latencies)
    say(
        {
            "callers": count,
            "commands": len(latencies),
            "commandsPerSecond": len(latencies) / taken,
            "p50Ms": percentile(latencies, 50),
            "p99Ms": percentile(latencies, 99),
            "conflicts": conflicts,
        }
    )

faults, balances = [], []


def read_back(name):
    events = list(bank.events.get(Account.create_id(name)))
    for at, one in enumerate(events):
        if one.originator_version != at + 1:
            faults.append(f"Event {one.originator_version} of {name} is number {at + 1}.")
    balances.append(getattr(events[-1], "balance", 0))


each(everything, read_back)
if sum(balances) != deposits:
    faults.append(f"The balances add up to {sum(balances)} after deposits of {deposits}.")
say({"faults": faults[:10]})
bank.close()
sys.exit()
