/**
 * castore as its documentation sets it up: a `Command` on an `EventStore` with
 * `PostgresEventStorageAdapter`, which opens a pool of `postgres` (10 connections, prepared
 * statements). The command itself decides again after lost races (`eventAlreadyExistsRetries`,
 * raised so that none fails for good).
 */
import { Command, EventStore, EventType, tuple } from '@castore/core'
import { PostgresEventStorageAdapter } from '@castore/event-storage-adapter-postgres'
import { drive, options } from '../commands/drive.ts'
import { type Details, detailsOf } from '../commands/event.ts'

const asked = options()
const details = detailsOf(asked.event)
await PostgresEventStorageAdapter.createEventTable({
  connectionString: asked.url,
  aggregateId: { type: 'VARCHAR', length: 255 },
})

type Deposited = { amount: number; balance: number } & Partial<Details>

interface Account {
  readonly aggregateId: string
  readonly version: number
  readonly owner: string
  readonly balance: number
}

const accounts = new EventStore({
  eventStoreId: 'account',
  eventTypes: [
    new EventType<'AccountOpened', { owner: string }>({ type: 'AccountOpened' }),
    new EventType<'MoneyDeposited', Deposited>({ type: 'MoneyDeposited' }),
  ],
  reducer: (account: Account, event): Account => {
    const { aggregateId, version } = event
    return event.type === 'AccountOpened'
      ? { aggregateId, version, owner: event.payload.owner, balance: 0 }
      : { ...account, version, balance: event.payload.balance }
  },
  eventStorageAdapter: new PostgresEventStorageAdapter({ connectionString: asked.url }),
})

let conflicts = 0
const retried = {
  eventAlreadyExistsRetries: 100,
  onEventAlreadyExists: async () => {
    conflicts++
  },
}

const openAccount = new Command({
  commandId: 'OPEN_ACCOUNT',
  requiredEventStores: tuple(accounts),
  ...retried,
  handler: async ({ aggregateId, owner }: { aggregateId: string; owner: string }, [store]) => {
    const { aggregate } = await store.getAggregate(aggregateId)
    if (aggregate !== undefined) throw new Error('already-open')
    await store.pushEvent({ aggregateId, version: 1, type: 'AccountOpened', payload: { owner } })
  },
})

const depositMoney = new Command({
  commandId: 'DEPOSIT_MONEY',
  requiredEventStores: tuple(accounts),
  ...retried,
  handler: async ({ aggregateId, amount }: { aggregateId: string; amount: number }, [store]) => {
    const { aggregate } = await store.getAggregate(aggregateId)
    if (aggregate === undefined) throw new Error('not-open')
    if (!(amount > 0)) throw new Error('invalid')
    const payload = { amount, balance: aggregate.balance + amount, ...details }
    const event = { aggregateId, version: aggregate.version + 1, type: 'MoneyDeposited', payload } as const
    await store.pushEvent(event, { prevAggregate: aggregate })
  },
})

await drive(
  {
    open: (aggregateId) => openAccount.handler({ aggregateId, owner: 'ann' }, [accounts]),
    deposit: (aggregateId) => depositMoney.handler({ aggregateId, amount: 1 }, [accounts]),
    async history(id) {
      const { events } = await accounts.getEvents(id)
      return events
        .map((event) => ({ sequence: event.version, balance: event.type === 'MoneyDeposited' ? event.payload.balance : 0 }))
        .sort((one, other) => one.sequence - other.sequence)
    },
    conflicts: () => conflicts,
  },
  asked,
)
