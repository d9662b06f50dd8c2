import { DefinitionError } from '../errors.ts'
import type { CommitOutcome } from '../store/commit.ts'
import type { Connection } from './connection.ts'
import type { Statements } from './statements.ts'
import { isPool } from './transact.ts'

/**
 * A connection that receives notifications: a connected `Client` of `pg` or Neon.
 * @example
 * ```ts
 * import type { PostgresListener } from 'cqrs-es/postgres'
 * import pg from 'pg'
 *
 * const listener: PostgresListener = new pg.Client({ connectionString: process.env.POSTGRES_URL })
 * ```
 */
export interface PostgresListener {
  /** Runs `LISTEN` and `UNLISTEN`. */
  query(text: string): Promise<unknown>
  on(event: 'notification', heard: (message: { readonly channel: string }) => void): unknown
  on(event: 'error', lost: () => void): unknown
  removeListener(event: 'notification', heard: (message: { readonly channel: string }) => void): unknown
}

/** @throws DefinitionError unless it is a single client with these methods */
export function checkListener(listener: PostgresListener): void {
  const given: Partial<PostgresListener> = typeof listener === 'object' && listener !== null ? listener : {}
  for (const method of ['query', 'on', 'removeListener'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(`postgresStore: "listener" must be a connected Client of pg; this value has no method "${method}".`)
  }
  if (!isPool(listener)) return
  throw new DefinitionError(
    'postgresStore: "listener" must be a single connected Client of pg, not a Pool, because LISTEN needs a session of its own.',
  )
}

/** Receives commit notifications while there are watchers. Ignores failures: readers also poll. */
export class Listener {
  readonly #listener: PostgresListener
  readonly #channel: string
  readonly #watchers = new Set<() => void>()

  constructor(listener: PostgresListener, channel: string) {
    this.#listener = listener
    this.#channel = channel
    // Never removed: without a listener for errors, a client that loses its connection ends the
    // process.
    listener.on('error', ignore)
  }

  watch(wake: () => void): () => void {
    const watcher = () => wake()
    this.#watchers.add(watcher)
    if (this.#watchers.size === 1) this.#start()
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#stop()
    }
  }

  #start(): void {
    this.#listener.on('notification', this.#heard)
    // Commits before LISTEN took effect were not reported, so all watchers check once.
    this.#run(`LISTEN "${this.#channel}"`).then(this.#wakeAll, ignore)
  }

  #stop(): void {
    this.#listener.removeListener('notification', this.#heard)
    this.#run(`UNLISTEN "${this.#channel}"`).catch(ignore)
  }

  /** Async, so that an exception of the driver becomes a rejection. */
  async #run(statement: string): Promise<void> {
    await this.#listener.query(statement)
  }

  readonly #heard = ({ channel }: { readonly channel: string }): void => {
    if (channel === this.#channel) this.#wakeAll()
  }

  readonly #wakeAll = (): void => {
    for (const wake of [...this.#watchers]) if (this.#watchers.has(wake)) wake()
  }
}

const ignore = (): void => {}

/** Sends a notification after commits, one at a time; the next covers all commits since then. */
export class Notifier {
  readonly #connection: Connection
  readonly #statements: Statements
  readonly #channel: string
  #isSending = false
  #again = false

  constructor(connection: Connection, statements: Statements, channel: string) {
    this.#connection = connection
    this.#statements = statements
    this.#channel = channel
  }

  /** Returns at once and never fails, because a notification is only a hint. */
  notify(outcomes: readonly CommitOutcome[]): void {
    if (!outcomes.some(hasEvents)) return
    this.#again = true
    if (!this.#isSending) this.#send()
  }

  async #send(): Promise<void> {
    this.#isSending = true
    while (this.#again) {
      this.#again = false
      await this.#connection.all(this.#statements.notify, this.#channel).catch(() => {})
    }
    this.#isSending = false
  }
}

/** Repeated commits count: the notification may have been lost when they were stored. */
const hasEvents = (outcome: CommitOutcome): boolean =>
  (outcome.kind === 'stored' || outcome.kind === 'repeated') && outcome.positions.length > 0
