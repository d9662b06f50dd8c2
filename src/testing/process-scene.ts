import type { AnyAggregate } from '../aggregate.ts'
import { durationMs } from '../due/duration.ts'
import { DefinitionError, messageOf } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { envelopesOf, newEvents } from '../execution/new-events.ts'
import {
  newInstance,
  onEvent,
  onFailed,
  onReply,
  onTimer,
  type ReplyInput,
  StepFailed,
  sentOf,
} from '../processes/decide-step.ts'
import type { ProcessDefinition } from '../processes/definition.ts'
import { type InstanceRow, type PendingSend, type Stuck, timersOf } from '../processes/instance-row.ts'
import { fail } from './assert.ts'

/** One input of an instance. */
export type ProcessInput =
  | { readonly kind: 'events'; readonly aggregate: AnyAggregate; readonly id: string; readonly events: readonly object[] }
  | { readonly kind: 'accepted'; readonly name: string; readonly events: readonly object[]; readonly state: unknown }
  | { readonly kind: 'refused'; readonly name: string; readonly reason: string; readonly details: unknown }
  | { readonly kind: 'answered'; readonly name: string; readonly result: unknown }
  | { readonly kind: 'begun'; readonly name: string }
  | { readonly kind: 'failed'; readonly name: string; readonly message: string }
  | { readonly kind: 'after'; readonly duration: string }

/** An instance with its inputs. */
export interface ProcessScene {
  readonly process: ProcessDefinition
  readonly id: string
  readonly now: Date
  readonly inputs: readonly ProcessInput[]
}

/** The instance after its inputs. */
export interface SceneResult {
  readonly sends: readonly object[]
  /** Name → milliseconds from now on. */
  readonly timers: Readonly<Record<string, number>>
  readonly state: unknown
  readonly ended: string | undefined
  readonly stuck: string | undefined
}

/** Runs the inputs. @throws AssertionError if a reply is for something that does not wait */
export function runScene(scene: ProcessScene): SceneResult {
  const instance = new SceneInstance(scene)
  for (const input of scene.inputs) instance.take(input)
  return instance.result
}

class SceneInstance {
  readonly #scene: ProcessScene
  readonly #title: string
  readonly #sequences = new Map<string, { readonly state: unknown; readonly sequence: number }>()
  #row: InstanceRow | undefined
  /** Why it is stuck at an input. At a send it is `stuckSend` of the row, and inputs go on. */
  #stuck: string | undefined
  #now: number
  #positions = 0

  constructor(scene: ProcessScene) {
    this.#scene = scene
    this.#title = `The instance '${scene.id}' of process '${scene.process.name}'`
    this.#now = scene.now.getTime()
  }

  get result(): SceneResult {
    const { initialState } = this.#scene.process
    const { todo = [], timers = {}, state = initialState(), ended, stuckSend } = this.#row ?? {}
    const left = Object.entries(timers).map(([name, { at }]) => [name, Date.parse(at) - this.#now])
    return { sends: todo.map(sentOf), timers: Object.fromEntries(left), state, ended, stuck: this.#stuck ?? stuckSend?.message }
  }

  take(input: ProcessInput): void {
    if (this.#stuck !== undefined) fail(`${this.#title} is stuck and processes no further input: ${this.#stuck}`)
    if (input.kind === 'events') this.#events(input)
    else if (input.kind === 'after') this.#after(input.duration)
    else this.#reply(input)
  }

  #events({ aggregate, id, events }: Extract<ProcessInput, { kind: 'events' }>): void {
    const { process } = this.#scene
    const definition = definitionOf('on: the first argument', aggregate)
    if (!process.aggregateTypes.includes(definition.type))
      fail(`Process '${process.name}' does not have the aggregate '${definition.type}' among aggregates.`)
    const key = `${definition.type}/${id}`
    const base = this.#sequences.get(key) ?? { state: definition.initialState(), sequence: 0 }
    const context = { aggregateId: id, metadata: {}, commitId: 'given', recordedAt: new Date(this.#now).toISOString() }
    const added = newEvents(definition, context, () => `on(…) of ${definition.type} '${id}' has`, base, events)
    this.#sequences.set(key, added)
    for (const event of envelopesOf(
      added,
      events.map(() => String(++this.#positions) as Position),
    ))
      this.#event(event)
  }

  #event(event: EventEnvelope): void {
    const { process, id } = this.#scene
    if (!process.on.has(event.type) || !this.#isForIt(event) || this.#row?.ended !== undefined) return
    if (this.#row === undefined && !process.starts.has(event.type)) return
    const row = this.#row ?? newInstance(process, event, event.recordedAt)
    this.#step(row, () => onEvent(process, id, row, event))
  }

  #isForIt(event: EventEnvelope): boolean {
    const correlate = this.#scene.process.correlate.get(event.type)
    const ids = correlate === undefined ? event.aggregateId : correlate(event)
    return Array.isArray(ids) ? ids.includes(this.#scene.id) : ids === this.#scene.id
  }

  #after(duration: string): void {
    const { process, id } = this.#scene
    const ms = durationMs(duration)
    if (ms === undefined) throw new DefinitionError(`after takes a duration, such as '90s' or '15m', not '${duration}'.`)
    const end = new Date(this.#now + ms).toISOString()
    for (;;) {
      const row = this.#row
      const [timer] = row === undefined || this.#stuck !== undefined ? [] : timersOf(row)
      if (row === undefined || timer === undefined || timer.at > end) break
      this.#now = Math.max(this.#now, Date.parse(timer.at))
      this.#step(row, () => onTimer(process, id, row, timer.name))
    }
    this.#now = Date.parse(end)
  }

  #reply(input: Exclude<ProcessInput, { kind: 'events' | 'after' }>): void {
    const { process, id } = this.#scene
    const row = this.#row
    const [head] = row?.todo ?? []
    const name = head && (head.call ?? head.type)
    if (row === undefined || head === undefined || name !== input.name)
      fail(`${this.#title} was expected to send ${input.name} next, but it sends ${name ?? 'nothing'}.`)
    if (row.stuckSend !== undefined) fail(`${this.#title} is stuck at ${name} and sends nothing: ${row.stuckSend.message}`)
    if (input.kind === 'begun') {
      this.#row = withHead(row, { ...head, begun: true })
      return
    }
    if (input.kind === 'failed') {
      this.#failed(row, head, input.message)
      return
    }
    const reply: ReplyInput =
      input.kind === 'accepted'
        ? {
            ok: true,
            events: input.events.map((event) => ({ id: '', ...event }) as unknown as EventEnvelope),
            state: input.state,
          }
        : input.kind === 'answered'
          ? { ok: true, result: input.result }
          : { ok: false, reason: input.reason, details: input.details }
    this.#step(row, () => onReply(process, id, row, reply, this.#now), head)
  }

  #failed(row: InstanceRow, head: PendingSend, message: string): void {
    const { process, id } = this.#scene
    const begun = head.call === undefined ? {} : { begun: true as const }
    const tried = withHead(row, { ...head, ...begun, tries: process.attempts })
    const failed = this.#stuckAt(head, message)
    if (process.failed === undefined || row.ended !== undefined) this.#row = { ...tried, stuckSend: failed }
    else this.#step(tried, () => onFailed(process, id, tried, failed, this.#now), head)
  }

  /** Keeps the instance as it was if the step fails. It is then stuck at the send, or at the input. */
  #step(row: InstanceRow, decide: () => InstanceRow, send?: PendingSend): void {
    try {
      this.#row = decide()
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
      this.#row = send === undefined ? row : { ...row, stuckSend: this.#stuckAt(send, messageOf(error)) }
      if (send === undefined) this.#stuck = messageOf(error)
    }
  }

  #stuckAt({ n }: PendingSend, message: string): Stuck {
    return { at: String(n), message, since: new Date(this.#now).toISOString() }
  }
}

const withHead = (row: InstanceRow, head: PendingSend): InstanceRow => ({ ...row, todo: [head, ...row.todo.slice(1)] })
