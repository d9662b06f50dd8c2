import { DefinitionError } from '../errors.ts'
import type { CommitOutcome } from '../store/commit.ts'
import type { Connection } from './connection.ts'
import type { Statements } from './statements.ts'
import { isPool } from './transact.ts'

/**
 * What the store asks of the connection that it hears of commits on: a connected `Client` of `pg` or Neon has it.
 *
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

/** @throws DefinitionError that says what is needed */
export function checkListener(listener: PostgresListener): void {
  const given: Partial<PostgresListener> = typeof listener === 'object' && listener !== null ? listener : {}
  for (const method of ['query', 'on', 'removeListener'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(
      `postgresStore: "listener" must be a connected Client of pg; what it got has no method "${method}".`,
    )
  }
  if (!isPool(listener)) return
  throw new DefinitionError(
    'postgresStore: "listener" must be one connected Client of pg, not a Pool: it listens on its session.',
  )
}

/** Hears of commits, while somebody watches. Every failure of the connection means no more than that nothing is heard. */
export class Listener {
  readonly #listener: PostgresListener
  readonly #channel: string
  readonly #watchers = new Set<() => void>()

  constructor(listener: PostgresListener, channel: string) {
    this.#listener = listener
    this.#channel = channel
    // For as long as the client lives: without a listener for errors, one that loses its connection would end the process.
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
    // What was committed before the server listens is not told, so whoever watches by then looks once.
    this.#run(`LISTEN "${this.#channel}"`).then(this.#wakeAll, ignore)
  }

  #stop(): void {
    this.#listener.removeListener('notification', this.#heard)
    this.#run(`UNLISTEN "${this.#channel}"`).catch(ignore)
  }

  /** Also what the driver throws at once is a rejection. */
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

/** Tells those who listen that something was stored. One message is under way at a time, and the next stands for all that came meanwhile. */
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

  /** Answers at once, and never fails: a message is a hint. */
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

/** Also one that was sent again: perhaps nobody was told when it was stored. */
const hasEvents = (outcome: CommitOutcome): boolean =>
  (outcome.kind === 'stored' || outcome.kind === 'repeated') && outcome.positions.length > 0
