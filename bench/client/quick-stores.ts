import { memoryStore } from 'cqrs-es/memory'
import { type PostgresClient, type PostgresValue, postgresStore } from 'cqrs-es/postgres'
import type { CommitOutcome, Position, Store } from 'cqrs-es/store'

/** Stores that answer within the process: the CPU time of a command is that of the client. */
export const quickStores = {
  instant: async () => instantStore(),
  'fake Postgres client': async () => postgresStore(fakeClient()),
  memory: async () => memoryStore(),
} satisfies Readonly<Record<string, () => Promise<Store>>>

export type QuickStore = keyof typeof quickStores

/** Forgets all it is given, and answers at once. Warm commands read nothing. */
function instantStore(): Store {
  const forgetful: Pick<Store, 'capabilities' | 'append' | 'readAggregate'> = {
    capabilities: { ...memoryStore().capabilities, push: false },
    append: async (commits) => commits.map(() => stored),
    readAggregate: async () => ({ events: [], more: false }),
  }
  return forgetful as Store
}

/** Of a commit with one event. */
const stored: CommitOutcome = { kind: 'stored', positions: ['1' as Position] }

/** Answers each append as if it was stored, and each read as if there was nothing. */
function fakeClient(): PostgresClient {
  const answerOf = (values: readonly PostgresValue[]) => {
    // Among the values of an append is the number of its events.
    const events = values.find((value) => typeof value === 'number')
    return { rows: [{ answer: `{"positions":[${'"1",'.repeat(events ?? 0).slice(0, -1)}]}` }] }
  }
  const query = async (statement: string | Statement, given: readonly PostgresValue[] = []) => {
    const { text, values } = typeof statement === 'string' ? { text: statement, values: given } : statement
    return /append/.test(text) ? answerOf(values) : { rows: [] }
  }
  return { query }
}

interface Statement {
  readonly text: string
  readonly values: readonly PostgresValue[]
}
