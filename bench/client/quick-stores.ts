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
    const positions = Array.from({ length: eventsIn(values) }, () => '"1"')
    return { rows: [{ answer: `{"positions":[${positions}]}` }] }
  }
  const query = async (statement: string | Statement, given: readonly PostgresValue[] = []) => {
    const { text, values } = typeof statement === 'string' ? { text: statement, values: given } : statement
    return /append/.test(text) ? answerOf(values) : { rows: [] }
  }
  return { query }
}

/** The number of events in an append. Older commits send it; others send lists with a number for each event. */
function eventsIn(values: readonly PostgresValue[]): number {
  for (const value of values) {
    if (typeof value === 'number') return value
    if (typeof value === 'string' && /^\{\d+(,\d+)*\}$/.test(value)) return value.split(',').length
  }
  throw new Error('An append does not look like this any more.')
}

interface Statement {
  readonly text: string
  readonly values: readonly PostgresValue[]
}
