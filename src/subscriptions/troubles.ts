import { sha256 } from '../digest.ts'
import { type CqrsErrorCode, isCqrsError, messageOf, StoppedError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import type { StoredView } from '../store/store.ts'
import type { ConsumerCore, Failure } from './consumption.ts'
import { saveRows } from './lane.ts'
import { canRead } from './outdated.ts'

/** What consumers keep in the store beside their checkpoints are rows of views whose names no user's view can have. */
const stoppedRows = '~stopped'
const parkedRows = '~parked'

/** Why a consumer stands still. */
export interface Stopped {
  readonly message: string
  readonly code?: CqrsErrorCode
  readonly eventId: string
  readonly stoppedAt: string
  /** The event could not be decoded: a program that can goes on by itself. */
  readonly unreadable?: true
}

/** An aggregate whose events wait since one of them failed. */
export interface Parked {
  readonly consumer: string
  readonly aggregateType: string
  readonly aggregateId: string
  /** Of the event that failed. */
  readonly sequence: number
  readonly message: string
  readonly attempts: number
  readonly parkedAt: string
  /** Somebody wants it tried again. */
  readonly again: boolean
  /** The event could not be decoded: a program that can tries it again by itself. */
  readonly unreadable?: true
}

/** A row with the version it has. */
export interface Versioned<T> {
  readonly id: string
  readonly version: number
  readonly value: T | undefined
}

const toVersioned = <T>(id: string, row: StoredView | undefined): Versioned<T> => ({
  id,
  version: row?.version ?? 0,
  value: (row?.view ?? undefined) as T | undefined,
})

export const stoppedError = (title: string, { message, eventId }: Stopped, cause?: unknown): StoppedError =>
  new StoppedError(
    `${title} has stopped at event ${eventId}: ${message} Nothing behind it was delivered. When the cause is gone, call resume().`,
    { eventId },
    cause,
  )

export const toStopped = ({ error, at, isUnreadable }: Failure, now: Date): Stopped => ({
  message: endedSentence(messageOf(error)),
  ...(isCqrsError(error) ? { code: error.code } : {}),
  eventId: at.id,
  stoppedAt: now.toISOString(),
  ...(isUnreadable ? { unreadable: true } : {}),
})

const endedSentence = (text: string): string => storable(/[.!?]$/.test(text) ? text : `${text}.`)

/** Messages of errors may hold anything; what the store keeps may not. */
const storable = (text: string): string => text.slice(0, 10_000).replace(/[\0\p{Cs}]/gu, '\ufffd')

export async function readStopped({ store }: Core, consumer: string): Promise<Versioned<Stopped>> {
  const [row] = await store.readViews([stoppedKey(consumer)])
  return toStoppedRow(consumer, row)
}

/** The same, for a consumer that is about to run: a stop at an event that only this program can read is over. */
export async function readStoppedToRun(core: ConsumerCore, consumer: string): Promise<Versioned<Stopped>> {
  for (;;) {
    const row = await readStopped(core, consumer)
    if (row.value?.unreadable !== true || !(await canRead(core, row.value.eventId))) return row
    await saveRows(core, [stoppedWrite(row, null)])
  }
}

/** Where it says why a consumer stands still. */
export const stoppedKey = (consumer: string) => ({ name: stoppedRows, generation: 1, id: consumer })

/** What it says there. */
export const toStoppedRow = (consumer: string, row: StoredView | undefined): Versioned<Stopped> => toVersioned(consumer, row)

export const stoppedWrite = (row: Versioned<Stopped>, stopped: Stopped | null): ViewWrite => ({
  name: stoppedRows,
  generation: 1,
  id: row.id,
  expectedVersion: row.version,
  view: stopped,
})

/** All aggregates of a consumer that are parked. */
export async function readAllParked(core: Core, consumer: string): Promise<readonly Versioned<Parked>[]> {
  const all: Versioned<Parked>[] = []
  for (let after: string | undefined; ; ) {
    const page = await readParked(core, consumer, 1_000, after)
    all.push(...page.items)
    if (page.next === undefined) return all
    after = page.next
  }
}

export async function readParked({ store }: Core, consumer: string, limit: number, after?: string) {
  const page = await store.findViews({
    name: parkedRows,
    generation: 1,
    where: [{ index: 'consumer', is: '=', value: encodeIndexValue(consumer) }],
    limit,
    ...(after === undefined ? {} : { after: { id: after } }),
  })
  return { items: page.items.map((row) => toVersioned<Parked>(row.id, row)), next: page.next?.id }
}

/** The row of an aggregate's trouble, also where there is none yet. */
export async function readParkedOf(
  core: Core,
  consumer: string,
  { aggregateType, aggregateId }: { readonly aggregateType: string; readonly aggregateId: string },
): Promise<Versioned<Parked>> {
  // Ids of rows are shorter than a type and an id may be together.
  const id = await sha256(`${consumer}\n${aggregateType}/${aggregateId}`)
  const [row] = await core.store.readViews([{ name: parkedRows, generation: 1, id }])
  return toVersioned(id, row)
}

export const parkedWrite = (row: Versioned<Parked>, parked: Parked | null): ViewWrite => ({
  name: parkedRows,
  generation: 1,
  id: row.id,
  expectedVersion: row.version,
  view: parked,
  indexes: parked === null ? [] : indexesOf(parked).map((index) => ({ index, value: encodeIndexValue(parked.consumer) })),
})

const indexesOf = ({ again }: Parked) => (again ? ['consumer', 'again'] : ['consumer'])

/** Whether something that is parked waits for being tried again. */
export async function isSomethingAgain({ store }: Core, consumer: string): Promise<boolean> {
  const where = [{ index: 'again', is: '=', value: encodeIndexValue(consumer) }] as const
  return (await store.findViews({ name: parkedRows, generation: 1, where, limit: 1 })).items.length > 0
}

export const toParked = (
  consumer: string,
  { at: event, error, isUnreadable }: Omit<Failure, 'next'>,
  attempts: number,
  now: Date,
): Parked => ({
  consumer,
  aggregateType: event.aggregateType,
  aggregateId: event.aggregateId,
  sequence: event.sequence,
  message: storable(messageOf(error)),
  attempts,
  parkedAt: now.toISOString(),
  again: false,
  ...(isUnreadable ? { unreadable: true } : {}),
})

export const parkedEventId = ({ aggregateType, aggregateId, sequence }: Parked): string =>
  eventId(aggregateType, aggregateId, sequence)

/** Lets a consumer go on. */
export async function clearStopped(core: ConsumerCore, consumer: string): Promise<void> {
  for (;;) {
    const row = await readStopped(core, consumer)
    if (row.value === undefined || (await saveRows(core, [stoppedWrite(row, null)])) === 'saved') return
  }
}

/** Asks for all that is parked to be tried again. */
export async function retryParked(core: ConsumerCore, consumer: string): Promise<void> {
  for (const found of await readAllParked(core, consumer))
    for (let row = found; row.value !== undefined && !row.value.again; row = await readParkedOf(core, consumer, row.value))
      if ((await saveRows(core, [parkedWrite(row, { ...row.value, again: true })])) === 'saved') break
}
