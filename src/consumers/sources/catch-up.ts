import { processorRows, type SkippedRow, stoppedRows } from '../../store/internal-rows.ts'
import { type AggregateChange, type CatchUpOutcome, placeIn } from '../change.ts'
import type { ConsumerCore, RunResult } from '../core.ts'
import type { Processor } from '../processor.ts'
import { stoppedError, stoppedToRun } from '../stopped.ts'
import type { AggregateMark, Era } from './mark.ts'

/** Aggregates that are looked up at once: with the consumer's own rows as many as DynamoDB reads in one request. */
const mostAtOnce = 98
/** What was looked up is believed for so long. */
const believedMs = 5_000

/** A consumer that is told which aggregates have news. */
export interface NewsConsumer {
  readonly core: ConsumerCore
  readonly processor: Processor
  /** An event that is to be passed over, where there is one. */
  passOver(skipped: SkippedRow | undefined): void
  /** What was read about resets. */
  enter(era: Era): void
  /** Ends the call. */
  readonly signal: AbortSignal
  /** Nothing else of it was in flight in this process since the call began: what the call has read still holds. */
  isAlone(): boolean
  /** Nobody else in this process is at the aggregate meanwhile. */
  inTurn<T>(change: AggregateChange, work: () => Promise<T>): Promise<T>
  /** Not read yet. */
  markOf(change: AggregateChange): Promise<AggregateMark>
  advance(mark: AggregateMark, change: AggregateChange): Promise<RunResult>
}

/** What was read for the changes of a call, but for their events. */
interface Look {
  readonly at: number
  /** By aggregate, how far the consumer has come. */
  readonly marks: Map<string, AggregateMark>
  /** Why it stands still. */
  trouble: unknown
  readonly goesOn: boolean
}

/**
 * Brings aggregates up to their ends, one after the other. The outcome of a change is what its aggregate, or the whole consumer, stands still at, or the reason of the signal that has cut it short. Whether it does, and how
 * far it has come in each aggregate, is read for all of them together.
 */
export async function catchUp(consumer: NewsConsumer, changes: readonly AggregateChange[]): Promise<readonly CatchUpOutcome[]> {
  const { processor, signal, isAlone } = consumer
  const outcomes: CatchUpOutcome[] = []
  let look: Look | undefined
  for (const [i, change] of changes.entries()) {
    const place = placeIn(change)
    const one = async (): Promise<CatchUpOutcome> => {
      signal.throwIfAborted()
      const isKnown = look?.marks.has(place) && isAlone() && now(consumer) - look.at < believedMs
      const known = look !== undefined && isKnown ? look : await lookUp(consumer, isAlone() ? changes.slice(i) : [change])
      look = known
      if (known.trouble !== undefined) return { error: known.trouble }
      if (!known.goesOn) return undefined
      const { state, error } = await consumer.advance(known.marks.get(place) as AggregateMark, change)
      if (state === 'more') throw signal.reason
      if (state === 'stopped') known.trouble = error
      return state === 'caught-up' ? undefined : { error }
    }
    const failed = (error: unknown): CatchUpOutcome => {
      // How far it has come in the aggregate is not certain now.
      look?.marks.delete(place)
      return { error }
    }
    const isOurs = processor.aggregateTypes.includes(change.aggregateType)
    outcomes.push(isOurs ? await consumer.inTurn(change, one).catch(failed) : undefined)
  }
  return outcomes
}

async function lookUp(consumer: NewsConsumer, changes: readonly AggregateChange[]): Promise<Look> {
  const { core, processor } = consumer
  const at = now(consumer)
  const marks = new Map<string, AggregateMark>()
  for (const change of changes) {
    if (marks.size === mostAtOnce) break
    const isOurs = processor.aggregateTypes.includes(change.aggregateType)
    if (isOurs && !marks.has(placeIn(change))) marks.set(placeIn(change), await consumer.markOf(change))
  }
  const all = [...marks.values()]
  const { name, mode } = processor
  const own = mode === 'act' ? [stoppedRows.key(name), processorRows.key(name)] : [stoppedRows.key(name)]
  const found = await core.store.readViews([...own, ...all.map(({ key }) => key)])
  const [stopped, said] = found
  if (mode === 'act') {
    const { value } = processorRows.parse(name, said)
    consumer.enter({ epoch: value?.epoch ?? 1, since: value?.reset?.to })
  }
  const rows = found.slice(own.length)
  for (const [i, mark] of all.entries()) mark.take(rows[i])
  const { value } = await stoppedToRun(core, processor.name, stoppedRows.parse(processor.name, stopped))
  consumer.passOver(value?.skipped)
  if (value !== undefined && value.skipped === undefined)
    return { at, marks, trouble: stoppedError(processor.title, value), goesOn: false }
  return { at, marks, trouble: undefined, goesOn: !(await processor.isFinished?.()) }
}

const now = ({ core }: NewsConsumer): number => core.runtime.now().getTime()
