import type { ConsumerCore } from '../consumers/core.ts'
import { type ConsumerHandle, consumerHandle } from '../consumers/handle.ts'
import { ValidationError } from '../errors.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { oneOf, optional, readCallOptions, unchecked, withDefault } from '../util/option-table.ts'
import { checkId, checkName, checkPage } from '../util/options.ts'
import type { StoredInstance } from './instance-cache.ts'
import { type InstanceRow, isStuck, type PendingSend } from './instance-row.ts'
import { abandoned, changeInstance, listRunning, listStuck, resumed } from './instances.ts'
import type { ProcessConsumer } from './process-consumer.ts'

/** An instance of a process, as it is stored. */
export interface Instance<S = unknown> {
  readonly id: string
  readonly status: 'running' | 'stuck' | 'ended'
  readonly state: S
  /** Version of the state: that of the program that has stored it. */
  readonly stateVersion: number
  /** Everything that the instance waits for. */
  readonly waitsFor: {
    /** Commands and calls in the order in which they will be done. The first may have failed before. */
    readonly sends: readonly {
      /** `ReserveStock to stock 'tea'`, or `call refund`. */
      readonly what: string
      /** Id of an event, `timer <name>`, or the number of the send whose reply decided it. */
      readonly because: string
      readonly attempts: number
      readonly notBefore?: string
      readonly error?: string
    }[]
    /** Name → due time; ISO 8601. */
    readonly timers: Readonly<Record<string, string>>
    /** Ids of events that wait for the input at which the instance is stuck. */
    readonly events: readonly string[]
  }
  /** The error at which the instance is stuck. */
  readonly error?: { readonly message: string; readonly code?: string; readonly at: string; readonly since: string }
  /** Text of `done`, or `abandoned: …`. */
  readonly outcome?: string
  /** Id of the event that started the instance. */
  readonly startedBy: string
  readonly startedAt: string
  readonly changedAt: string
  /** Number of times that it was saved. */
  readonly version: number
}

/** Options of `list`. */
export interface ListInstances {
  /** Default `'running'`: instances that have neither ended nor are stuck. */
  readonly only?: 'running' | 'stuck' | undefined
  /** 1–1,000, default 100. */
  readonly limit?: number | undefined
  /** `next` of the previous page. */
  readonly after?: string | undefined
}

/** A process of an app. */
export interface ProcessHandle<S = unknown> extends Omit<ConsumerHandle, 'resume'> {
  /**
   * Returns an instance; `undefined` if there is none. `S` is the state of this program's
   * `stateVersion`.
   * @throws ValidationError, StoreError, ClosedError
   */
  load(id: string): Promise<Instance<S> | undefined>
  /**
   * Lists running instances, the next due first, or stuck ones. A stuck one may have ended: its last
   * commands and calls are still to be done. A page may have fewer instances than `limit`.
   * @throws ValidationError, StoreError, ClosedError
   */
  list(options?: ListInstances): Promise<{ readonly items: readonly Instance<S>[]; readonly next?: string }>
  /**
   * Retries what this instance, or each stuck one, is stuck at. Without an id, it also continues the
   * process after a stop.
   * @throws ValidationError, StoreError, ClosedError
   */
  resume(id?: string): Promise<void>
  /**
   * Ends an instance: nothing that waits is done. Returns `false` if it has ended, or does not
   * exist.
   * @throws ValidationError, StoreError, ClosedError
   */
  abandon(id: string, because: string): Promise<boolean>
}

const optionsOfList = {
  only: withDefault<'running' | 'stuck'>('running', oneOf('running', 'stuck')),
  limit: withDefault(100, unchecked),
  after: optional<string>(unchecked),
}
const longestReason = 1_000
const resumePage = 200

/** Implements `ProcessHandle`, types erased. */
export function processHandle(core: ConsumerCore, consumer: ProcessConsumer, lifecycle: Lifecycle): ProcessHandle {
  const { work, title } = consumer
  const at = (method: string) => `${method} of ${title.toLowerCase()}`
  const { resume: continueProcess, ...handle } = consumerHandle(core, consumer, lifecycle)
  const resumeAll = async () => {
    await continueProcess()
    for (let after: string | undefined; ; ) {
      const page = await listStuck(work, resumePage, after)
      for (const { id } of page.items) await changeInstance(work, id, resumed)
      if (page.next === undefined) return
      after = page.next
    }
  }
  return Object.freeze({
    ...handle,
    load: (id: string) =>
      lifecycle.run(at('load'), async () => {
        checkId(at('load'), id)
        return instanceOf(await work.rows.read(core.store, id))
      }),
    list: (options: ListInstances = {}) =>
      lifecycle.run(at('list'), async () => {
        const { only, limit, after } = readCallOptions(at('list'), options, optionsOfList)
        checkPage(at('list'), limit, undefined)
        if (after !== undefined && typeof after !== 'string')
          throw new ValidationError(`${at('list')}: after must be the next of a page.`)
        const page = only === 'stuck' ? await listStuck(work, limit, after) : await listRunning(work, limit, after)
        const items = page.items.flatMap((row) => instanceOf(row) ?? []).filter(({ status }) => status === only)
        return { items, ...(page.next === undefined ? {} : { next: page.next }) }
      }),
    resume: (id?: string) =>
      lifecycle.run(at('resume'), async () => {
        if (id !== undefined) checkId(at('resume'), id)
        await (id === undefined ? resumeAll() : changeInstance(work, id, resumed))
        core.pulse.wake(consumer.aggregateTypes)
      }),
    abandon: (id: string, because: string) =>
      lifecycle.run(at('abandon'), async () => {
        checkId(at('abandon'), id)
        checkName(`${at('abandon')}: because`, because.slice?.(0, longestReason), ValidationError)
        return changeInstance(work, id, (row) => abandoned(row, because))
      }),
  })
}

function instanceOf({ id, version, value }: StoredInstance): Instance | undefined {
  if (value === undefined) return undefined
  const { state, stateVersion, todo, timers, behind, stuck, stuckSend, ended } = value
  const error = stuck ?? stuckSend
  return {
    id,
    status: isStuck(value) ? 'stuck' : ended === undefined ? 'running' : 'ended',
    state,
    stateVersion,
    waitsFor: {
      sends: todo.map(waitingSend),
      timers: Object.fromEntries(Object.entries(timers).map(([name, timer]) => [name, timer.at])),
      events: behind,
    },
    ...(error === undefined ? {} : { error: errorOf(error) }),
    ...(ended === undefined ? {} : { outcome: ended }),
    startedBy: value.startedBy,
    startedAt: value.startedAt,
    changedAt: value.changedAt,
    version,
  }
}

const errorOf = ({ message, code, at, since }: NonNullable<InstanceRow['stuckSend']>) => ({
  message,
  ...(code === undefined ? {} : { code }),
  at,
  since,
})

const waitingSend = ({ to, id, type, call, because, tries, notBefore, error }: PendingSend) => ({
  what: call === undefined ? `${type} to ${to} '${id}'` : `call ${call}`,
  because,
  attempts: tries,
  ...(notBefore === undefined ? {} : { notBefore }),
  ...(error === undefined ? {} : { error }),
})
