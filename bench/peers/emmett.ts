/**
 * emmett as its documentation sets it up: `CommandHandler` on `getPostgreSQLEventStore(url)`, which
 * opens a pool of `pg` (10 connections, as ours), or on `getInMemoryEventStore()`. The schema is
 * migrated before the clock starts. Its option `retry.onVersionConflict` decides again after lost
 * races.
 */
import { CommandHandler, type Event, getInMemoryEventStore } from '@event-driven-io/emmett'
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql'
import { type Bank, drive, options } from '../commands/drive.ts'
import { type Details, detailsOf } from '../commands/event.ts'

type Deposited = { amount: number; balance: number } & Partial<Details>
type AccountEvent = Event<'AccountOpened', { owner: string }> | Event<'MoneyDeposited', Deposited>

interface Account {
  readonly owner: string
  readonly balance: number
}

const asked = options()
const details = detailsOf(asked.event)

const handle = CommandHandler<Account, AccountEvent>({
  initialState: () => ({ owner: '', balance: 0 }),
  evolve: (account, { type, data }) =>
    type === 'AccountOpened' ? { ...account, owner: data.owner } : { ...account, balance: data.balance },
  retry: { onVersionConflict: true },
})

const openAccount =
  (owner: string) =>
  (account: Account): AccountEvent => {
    if (account.owner !== '') throw new Error('already-open')
    return { type: 'AccountOpened', data: { owner } }
  }

const depositMoney =
  (amount: number) =>
  (account: Account): AccountEvent => {
    if (account.owner === '') throw new Error('not-open')
    if (!(amount > 0)) throw new Error('invalid')
    return { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount, ...details } }
  }

await drive(asked.system === 'memory' ? inMemory() : await onPostgres(), asked)

async function onPostgres(): Promise<Bank> {
  const store = getPostgreSQLEventStore(asked.url)
  await store.schema.migrate()
  return {
    open: (id) => handle(store, id, openAccount('ann')),
    deposit: (id) => handle(store, id, depositMoney(1)),
    history: async (id) => (await store.readStream<AccountEvent>(id)).events.map(numbered),
    close: () => store.close(),
  }
}

function inMemory(): Bank {
  const store = getInMemoryEventStore()
  return {
    open: (id) => handle(store, id, openAccount('ann')),
    deposit: (id) => handle(store, id, depositMoney(1)),
    history: async (id) => (await store.readStream<AccountEvent>(id)).events.map(numbered),
  }
}

function numbered(event: AccountEvent & { readonly metadata: { readonly streamPosition: bigint } }) {
  return {
    sequence: Number(event.metadata.streamPosition),
    balance: event.type === 'MoneyDeposited' ? event.data.balance : 0,
  }
}
