import { isCqrsError, messageOf, StoppedError } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { eventId } from '../store/event-id.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import { type InternalRow, type ParkedRow, parkedRows, type StoppedRow, stoppedRows } from '../store/internal-rows.ts'
import { sha256 } from '../util/digest.ts'
import type { ConsumerCore, Failure } from './consumption.ts'
import { rowsOf, saveRows } from './lane.ts'
import { canRead } from './outdated.ts'

export const stoppedError = (title: string, { message, eventId }: StoppedRow, cause?: unknown): StoppedError =>
  new StoppedError(
    `${title} has stopped at event ${eventId}: ${message} Nothing behind it was delivered. When the cause is gone, call resume().`,
    { eventId },
    cause,
  )

export const toStopped = ({ error, at, isUnreadable }: Failure, now: Date): StoppedRow => ({
  message: endedSentence(messageOf(error)),
  ...(isCqrsError(error) ? { code: error.code } : {}),
  eventId: at.id,
  stoppedAt: now.toISOString(),
  ...(isUnreadable ? { unreadable: true } : {}),
})

const endedSentence = (text: string): string => storable(/[.!?]$/.test(text) ? text : `${text}.`)

/** Messages of errors may hold anything; what the store keeps may not. */
const storable = (text: string): string => text.slice(0, 10_000).replace(/[\0\p{Cs}]/gu, '\ufffd')

export const readStopped = ({ store }: Core, consumer: string): Promise<InternalRow<StoppedRow>> =>
  stoppedRows.read(store, consumer)

/** The same, for a consumer that is about to run: a stop at an event that only this program can read is over. */
export async function readStoppedToRun(core: ConsumerCore, consumer: string): Promise<InternalRow<StoppedRow>> {
  for (;;) {
    const row = await readStopped(core, consumer)
    if (row.value?.unreadable !== true || !(await canRead(core, row.value.eventId))) return row
    await saveRows(core, [stoppedRows.write(row, null)])
  }
}

/** All aggregates of a consumer that are parked. */
export async function readAllParked(core: Core, consumer: string): Promise<readonly InternalRow<ParkedRow>[]> {
  const all: InternalRow<ParkedRow>[] = []
  for (let after: string | undefined; ; ) {
    const page = await readParked(core, consumer, 1_000, after)
    all.push(...page.items)
    if (page.next === undefined) return all
    after = page.next
  }
}

export async function readParked({ store }: Core, consumer: string, limit: number, after?: string) {
  const page = await store.findViews({
    name: parkedRows.name,
    generation: 1,
    where: [{ index: 'consumer', is: '=', value: encodeIndexValue(consumer) }],
    limit,
    ...(after === undefined ? {} : { after: { id: after } }),
  })
  return { items: page.items.map((row) => parkedRows.parse(row.id, row)), next: page.next?.id }
}

/** The row of an aggregate's trouble, also where there is none yet. */
export async function readParkedOf(
  core: Core,
  consumer: string,
  { aggregateType, aggregateId }: { readonly aggregateType: string; readonly aggregateId: string },
): Promise<InternalRow<ParkedRow>> {
  // Ids of rows are shorter than a type and an id may be together.
  const id = await sha256(`${consumer}\n${aggregateType}/${aggregateId}`)
  return parkedRows.read(core.store, id)
}

/** Whether something that is parked waits for being tried again. */
export async function isSomethingAgain({ store }: Core, consumer: string): Promise<boolean> {
  const where = [{ index: 'again', is: '=', value: encodeIndexValue(consumer) }] as const
  return (await store.findViews({ name: parkedRows.name, generation: 1, where, limit: 1 })).items.length > 0
}

export const toParked = (
  consumer: string,
  { at: event, error, isUnreadable }: Omit<Failure, 'next'>,
  attempts: number,
  now: Date,
): ParkedRow => ({
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

export const parkedEventId = ({ aggregateType, aggregateId, sequence }: ParkedRow): string =>
  eventId(aggregateType, aggregateId, sequence)

/** Lets a consumer go on. */
export async function clearStopped(core: ConsumerCore, consumer: string): Promise<void> {
  await stoppedRows.update(rowsOf(core), consumer, (row) => (row === undefined ? undefined : null))
}

/** Asks for all that is parked to be tried again. */
export async function retryParked(core: ConsumerCore, consumer: string): Promise<void> {
  for (const { id } of await readAllParked(core, consumer))
    await parkedRows.update(rowsOf(core), id, (row) => (row === undefined || row.again ? undefined : { ...row, again: true }))
}
