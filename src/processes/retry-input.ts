import { placeOfEvent } from '../consumers/event-place.ts'
import { storable } from '../consumers/stopped.ts'
import { decodeApart } from '../evolution/decode.ts'
import { aggregatePage } from '../execution/read-page.ts'
import { onEvent, onTimer, StepFailed, stuckAt } from './decide-step.ts'
import type { InstanceRow, Stuck } from './instance-row.ts'
import { type Running, saveInstance, type WorkCore } from './work-core.ts'

/** Events that are retried in one commit. */
const mostAtOnce = 100

/**
 * Retries the input at which an instance is stuck, and processes the events that wait for it. Returns
 * `undefined` if another worker has moved the instance.
 */
export async function retryInput(work: WorkCore, row: Running): Promise<Running | undefined> {
  const { stuck, behind, ...rest } = row.value
  const { at, timer } = stuck as NonNullable<InstanceRow['stuck']>
  const inputs = [at, ...behind]
  let current: InstanceRow = { ...rest, behind: [] }
  for (const [i, input] of inputs.entries()) {
    const left = inputs.slice(i + 1)
    const { since, message } = stuck as Stuck
    if (i === mostAtOnce) return save(work, row, { ...current, stuck: { at: input, message, since, again: true }, behind: left })
    const isTimer = i === 0 && timer !== undefined
    try {
      current = isTimer ? onTimer(work.process, row.id, current, timer) : await take(work, row.id, current, input)
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
      const now = work.core.runtime.now().toISOString()
      const again = { ...stuckAt(input, error, now, storable), ...(isTimer && { timer }) }
      return save(work, row, { ...current, stuck: again, behind: left }, error)
    }
    if (current.ended !== undefined) break
  }
  return save(work, row, current)
}

const save = (work: WorkCore, row: Running, next: InstanceRow, error?: unknown) =>
  saveInstance(work, row, next, { at: row.value.stuck?.at ?? '', ...(error === undefined ? {} : { error }) })

/** @throws StepFailed */
async function take(work: WorkCore, id: string, row: InstanceRow, input: string): Promise<InstanceRow> {
  const { core, process } = work
  const place = placeOfEvent(input)
  const definition = place && core.definitions.get(place.aggregateType)
  if (place === undefined || definition === undefined)
    throw new StepFailed(`The event ${input} cannot be read: this program does not have its aggregate.`)
  const { sequence, ...aggregate } = place
  const page = await aggregatePage(core, { ...aggregate, after: sequence - 1, upTo: sequence })
  const [decoded] = await decodeApart(core, () => definition, page.events)
  if (decoded === undefined) throw new StepFailed(`The event ${input} does not exist.`)
  if (decoded.failure !== undefined) throw new StepFailed(`The event ${input} cannot be read.`, { cause: decoded.failure.error })
  const own = decoded.events.filter((event) => isFor(work, event, id))
  return own.reduce((current, event) => (current.ended === undefined ? onEvent(process, id, current, event) : current), row)
}

/** Returns whether `correlate` assigns an event to an instance. */
function isFor({ process }: WorkCore, event: Parameters<typeof onEvent>[3], id: string): boolean {
  const correlate = process.correlate.get(event.type)
  if (correlate === undefined) return event.aggregateId === id
  const ids = correlate(event)
  return Array.isArray(ids) ? ids.includes(id) : ids === id
}
