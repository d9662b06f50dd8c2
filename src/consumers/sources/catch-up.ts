import { processorRows, type SkippedRow, stoppedRows } from '../../store/internal-rows.ts'
import { type AggregateChange, type CatchUpOutcome, placeIn } from '../change.ts'
import type { ConsumerCore, RunResult } from '../core.ts'
import type { Processor } from '../processor.ts'
import { stoppedError, stoppedToRun } from '../stopped.ts'
import type { AggregateMark, Era } from './mark.ts'

/**
 * Aggregates per read: together with the consumer's own rows as many as DynamoDB reads in one
 * request.
 */
const mostAtOnce = 98
/** Reads are considered valid for this time. */
const believedMs = 5_000

/** A consumer that receives changed aggregates. */
export interface NewsConsumer {
  readonly core: ConsumerCore
  readonly processor: Processor
  /** Sets the event to skip, if any. */
  passOver(skipped: SkippedRow | undefined): void
  /** Sets the epoch and reset that were read. */
  enter(era: Era): void
  /** Ends the call. */
  readonly signal: AbortSignal
  /**
   * Returns whether nothing else ran in this process since the call began, so that its reads are
   * still valid.
   */
  isAlone(): boolean
  /** Runs work while nothing else in this process works on the aggregate. */
  inTurn<T>(change: AggregateChange, work: () => Promise<T>): Promise<T>
  /** Returns the mark of an aggregate, not read yet. */
  markOf(change: AggregateChange): Promise<AggregateMark>
  advance(mark: AggregateMark, change: AggregateChange): Promise<RunResult>
  /** Processes aggregates to their ends, then the one that needs them. Called outside of its turn. */
  advanceAfter(first: readonly AggregateChange[], change: AggregateChange): Promise<RunResult>
}

/** Reads for the changes of a call, without their events. */
interface Look {
  readonly at: number
  /** Progress by aggregate. */
  readonly marks: Map<string, AggregateMark>
  /** Error that stopped the consumer. */
  trouble: unknown
  readonly goesOn: boolean
}

/**
 * Processes aggregates up to their ends, one after the other, with shared reads of progress and
 * stops.
 *
 * Each outcome is the error that blocks the aggregate or the consumer, or the abort reason.
 */
export async function catchUp(consumer: NewsConsumer, changes: readonly AggregateChange[]): Promise<readonly CatchUpOutcome[]> {
  const { processor, signal, isAlone } = consumer
  const outcomes: CatchUpOutcome[] = []
  let look: Look | undefined
  for (const [i, change] of changes.entries()) {
    const place = placeIn(change)
    let first: readonly AggregateChange[] | undefined
    const outcomeOf = ({ state, error }: RunResult): CatchUpOutcome => {
      if (state === 'more') throw signal.reason
      if (state === 'stopped' && look !== undefined) look.trouble = error
      return state === 'caught-up' ? undefined : { error }
    }
    const one = async (): Promise<CatchUpOutcome> => {
      signal.throwIfAborted()
      const isKnown = look?.marks.has(place) && isAlone() && now(consumer) - look.at < believedMs
      const known = look !== undefined && isKnown ? look : await lookUp(consumer, isAlone() ? changes.slice(i) : [change])
      look = known
      if (known.trouble !== undefined) return { error: known.trouble }
      if (!known.goesOn) return undefined
      const result = await consumer.advance(known.marks.get(place) as AggregateMark, change)
      first = result.first
      return first === undefined ? outcomeOf(result) : undefined
    }
    const failed = (error: unknown): CatchUpOutcome => {
      // After an error, the progress in the aggregate is uncertain.
      look?.marks.delete(place)
      return { error }
    }
    const isOurs = processor.aggregateTypes.includes(change.aggregateType)
    const outcome = isOurs ? await consumer.inTurn(change, one).catch(failed) : undefined
    if (first === undefined) outcomes.push(outcome)
    else {
      look?.marks.delete(place)
      outcomes.push(await consumer.advanceAfter(first, change).then(outcomeOf).catch(failed))
    }
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
