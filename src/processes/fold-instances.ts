import type { AggregateChange } from '../consumers/change.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { processConsumer } from '../consumers/names.ts'
import { LeftToNewer, undecoded } from '../consumers/outdated.ts'
import type { Failure, Processor, Saved, Taken } from '../consumers/processor.ts'
import { storable } from '../consumers/stopped.ts'
import { shardsOf } from '../due/shards.ts'
import { messageOf, StoppedError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { ViewWrite } from '../store/commit.ts'
import type { InternalRows } from '../store/internal-rows.ts'
import { nameProblem } from '../util/names.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import { newInstance, onEvent, StepFailed, stuckAt } from './decide-step.ts'
import type { ProcessDefinition } from './definition.ts'
import { InstanceCache, type StoredInstance } from './instance-cache.ts'
import { type InstanceRow, instanceRows } from './instance-row.ts'
import { type Observed, observeSteps } from './observe-steps.ts'

/** Items of a commit that one instance needs at most: its row, and two changes of an index each. */
const itemsPerInstance = 5
/** Events that wait for an instance that is stuck. */
const mostBehind = 1_000

/** Decides on events; the instances are stored with the checkpoint. */
export class FoldInstances implements Processor {
  readonly name: string
  readonly title: string
  readonly label: string
  readonly kind = 'process'
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  readonly mode = 'fold'
  readonly partitions = 1
  readonly concurrency = 1
  readonly batchSize = 100
  readonly onFailure = 'stop'
  readonly rows: InternalRows<InstanceRow>
  readonly instances = new InstanceCache()
  /** Retries the input at which an instance is stuck. */
  retry: (row: StoredInstance) => Promise<StoredInstance> = async (row) => row
  readonly #core: ConsumerCore
  readonly #process: ProcessDefinition
  readonly #mostRows: number
  /** Without a global order: events whose instance may start in an aggregate that was read since. */
  readonly #startsRead = new Set<string>()

  constructor(core: ConsumerCore, process: ProcessDefinition) {
    const { globalOrder, itemsPerCommit } = core.store.capabilities
    this.#core = core
    this.#process = process
    this.name = processConsumer(process.name)
    this.title = `The process '${process.name}'`
    this.label = process.name
    this.aggregateTypes = process.aggregateTypes
    this.from = process.from
    this.rows = instanceRows(process.name, shardsOf(core.store))
    this.#mostRows = globalOrder ? Number.POSITIVE_INFINITY : Math.floor((itemsPerCommit - 1) / itemsPerInstance)
  }

  /** Other processes may have moved the instances. */
  async isFinished(): Promise<boolean> {
    this.instances.clear()
    return false
  }

  async take(batch: readonly Decoded[]): Promise<InstancesTaken> {
    const plan = this.#plan(batch)
    const found = await this.#read(plan.ids)
    const fold = new Fold(this.#process, found, this.#core.runtime.now().toISOString())
    const end = (done: number, rest: Pick<Taken, 'failure' | 'first'> = {}): InstancesTaken => {
      const by = this.#core.runtime.randomUUID()
      const changed = fold.changed.map(({ row, next }) => ({ id: row.id, version: row.version, value: { ...next, by } }))
      const rows = changed.map((row) => this.rows.write(row, row.value))
      return { done, effects: { rows }, changed, observed: fold.observed, ...rest }
    }
    for (const [nth, { decoded, byId }] of plan.events.entries()) {
      const { stored } = decoded
      const first = this.#startsOf(decoded, byId, fold)
      if (first.length > 0) {
        if (nth === 0) this.#startsRead.add(stored.id)
        return end(nth, nth === 0 ? { first } : {})
      }
      for (const [id, events] of byId) {
        const trouble = fold.add(id, decoded, events)
        if (trouble === undefined) continue
        if (trouble === 'newer') return end(nth, { failure: this.#leftToNewer(decoded, id) })
        return end(nth, { failure: { at: stored, error: tooManyBehind(this.title, id, stored.id), kind: 'failed' } })
      }
      this.#startsRead.delete(stored.id)
      fold.keep()
    }
    return end(plan.events.length, { failure: plan.failure })
  }

  settled({ changed, observed }: InstancesTaken, outcome: Saved): void {
    // The answer to an earlier send of the same commit may have been lost.
    for (const { id } of changed) this.instances.noteChanged(id)
    if (outcome !== 'saved') {
      this.instances.clear()
      return
    }
    for (const { id, version, value } of changed) this.instances.put({ id, version: version + 1, value })
    observeSteps(this.#core, this.label, observed)
  }

  /** Assigns events to instances, up to the first that cannot be read or assigned, or does not fit in the commit. */
  #plan(batch: readonly Decoded[]): Plan {
    const events: PlannedEvent[] = []
    const ids = new Set<string>()
    for (const decoded of batch) {
      const { stored } = decoded
      if (decoded.failure !== undefined) return { events, ids, failure: undecoded(this.title, decoded) }
      const byId = new Map<string, EventEnvelope[]>()
      try {
        for (const event of decoded.events) for (const id of this.#idsOf(event)) byId.set(id, [...(byId.get(id) ?? []), event])
        if (byId.size > this.#mostRows) throw tooManyInstances(byId.size, this.#mostRows)
      } catch (error) {
        const message = `correlate.${stored.type} of ${this.title.toLowerCase()} failed at event ${stored.id}: ${messageOf(error)}`
        return { events, ids, failure: { at: stored, error: new StepFailed(message, { cause: error }), kind: 'failed' } }
      }
      if (new Set([...ids, ...byId.keys()]).size > this.#mostRows) return { events, ids, failure: undefined }
      for (const id of byId.keys()) ids.add(id)
      events.push({ decoded, byId })
    }
    return { events, ids, failure: undefined }
  }

  /** Returns the ids of the instances that an event is for. */
  #idsOf(event: EventEnvelope): readonly string[] {
    if (!this.#process.on.has(event.type)) return []
    const correlate = this.#process.correlate.get(event.type)
    if (correlate === undefined) return [event.aggregateId]
    const answer = correlate(event)
    if (isThenable(answer)) throw refusing(new Error('it returned a promise; it must return ids at once.'), answer)
    const ids = new Set(Array.isArray(answer) ? answer : [answer])
    for (const id of ids) {
      const problem = nameProblem(id)
      if (problem !== undefined) throw new Error(`an id ${problem}. Return [] for no instance.`)
    }
    return [...ids] as string[]
  }

  async #read(ids: ReadonlySet<string>): Promise<Map<string, StoredInstance>> {
    const rows = new Map([...ids].map((id) => [id, this.instances.get(id)]))
    const unknown = [...ids].filter((id) => rows.get(id) === undefined)
    const found = unknown.length === 0 ? [] : await this.#core.store.readViews(unknown.map((id) => this.rows.key(id)))
    for (const [i, id] of unknown.entries()) rows.set(id, this.rows.parse(id, found[i]))
    // Room for more events may depend on it.
    for (const [id, row] of rows) if (row?.value?.stuck?.again) rows.set(id, await this.retry(row))
    return rows as Map<string, StoredInstance>
  }

  /**
   * Without a global order, an event may be delivered before the start of its instance. Returns the
   * aggregates in which that start may be, unless they were read for this event.
   */
  #startsOf({ stored }: Decoded, byId: PlannedEvent['byId'], fold: Fold): readonly AggregateChange[] {
    const { starts, startTypes } = this.#process
    if (this.#core.store.capabilities.globalOrder || this.#startsRead.has(stored.id)) return []
    const unknown = [...byId].filter(([id, events]) => !fold.has(id) && !events.some(({ type }) => starts.has(type)))
    return unknown.flatMap(([aggregateId]) =>
      startTypes
        .filter((aggregateType) => aggregateType !== stored.aggregateType || aggregateId !== stored.aggregateId)
        .map((aggregateType) => ({ aggregateType, aggregateId, sequence: Number.POSITIVE_INFINITY })),
    )
  }

  #leftToNewer({ stored }: Decoded, id: string): Failure {
    const cause = new StepFailed(`The instance '${id}' was saved by a program with a higher stateVersion.`)
    return { at: stored, error: new LeftToNewer(this.title, stored, undefined, cause), kind: 'outdated' }
  }
}

interface InstancesTaken extends Taken {
  readonly effects: { readonly rows: readonly ViewWrite[] }
  readonly changed: readonly { readonly id: string; readonly version: number; readonly value: InstanceRow }[]
  readonly observed: readonly Observed[]
}

interface PlannedEvent {
  readonly decoded: Decoded
  /** Its parts by instance: an upcaster may split it. */
  readonly byId: ReadonlyMap<string, readonly EventEnvelope[]>
}

interface Plan {
  readonly events: readonly PlannedEvent[]
  readonly ids: ReadonlySet<string>
  readonly failure: Failure | undefined
}

/** Instances during a batch. Events are added one by one; `keep` confirms those added since. */
class Fold {
  readonly observed: Observed[] = []
  readonly #process: ProcessDefinition
  readonly #found: ReadonlyMap<string, StoredInstance>
  readonly #now: string
  readonly #next = new Map<string, InstanceRow>()
  #added = new Map<string, InstanceRow>()
  #seen: Observed[] = []

  constructor(process: ProcessDefinition, found: ReadonlyMap<string, StoredInstance>, now: string) {
    this.#process = process
    this.#found = found
    this.#now = now
  }

  get changed(): readonly { readonly row: StoredInstance; readonly next: InstanceRow }[] {
    return [...this.#next].map(([id, next]) => ({ row: this.#found.get(id) as StoredInstance, next }))
  }

  has(id: string): boolean {
    return this.#current(id) !== undefined
  }

  keep(): void {
    for (const [id, next] of this.#added) this.#next.set(id, next)
    this.observed.push(...this.#seen)
    this.#added = new Map()
    this.#seen = []
  }

  /** Adds an event to an instance. Returns why it cannot. */
  add(id: string, { stored }: Decoded, events: readonly EventEnvelope[]): 'newer' | 'full' | undefined {
    const before = this.#current(id)
    if (before?.ended !== undefined) return undefined
    if (before !== undefined && before.stateVersion > this.#process.stateVersion) return 'newer'
    if (before?.stuck !== undefined) {
      if (before.behind.length >= mostBehind) return 'full'
      this.#set(id, { ...before, behind: [...before.behind, stored.id] })
      return undefined
    }
    let row = before
    try {
      for (const event of events) {
        if (row === undefined && !this.#process.starts.has(event.type)) continue
        row ??= newInstance(this.#process, event, this.#now)
        if (row.ended === undefined) row = onEvent(this.#process, id, row, event)
      }
      if (row === undefined) return undefined
      this.#set(id, row)
      this.#seen.push({ id, at: stored.id, row })
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
      const start =
        before ??
        newInstance(this.#process, events.find(({ type }) => this.#process.starts.has(type)) as EventEnvelope, this.#now)
      const stuck = stuckAt(stored.id, error, this.#now, storable)
      const stuckRow = { ...start, stuck }
      this.#set(id, stuckRow)
      this.#seen.push({ id, at: stored.id, row: stuckRow, error })
    }
    return undefined
  }

  #current(id: string): InstanceRow | undefined {
    return this.#added.get(id) ?? this.#next.get(id) ?? this.#found.get(id)?.value
  }

  #set(id: string, row: InstanceRow): void {
    this.#added.set(id, { ...row, changedAt: this.#now })
  }
}

const tooManyBehind = (title: string, id: string, eventId: string): StoppedError =>
  new StoppedError(
    `${mostBehind.toLocaleString('en')} events wait for the instance '${id}' of ${title.toLowerCase()}, which is stuck. Call resume('${id}') or abandon('${id}', because).`,
    { eventId },
  )

const tooManyInstances = (size: number, most: number): Error =>
  new Error(`it returned ${size} ids; the limit on this store is ${most}, because a commit has a limited number of items.`)
