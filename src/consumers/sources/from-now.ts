import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import { begunRows } from '../../store/internal-rows.ts'
import type { AggregateChange } from '../change.ts'
import type { ConsumerCore } from '../core.ts'
import { readOrCreate } from '../rows.ts'

/** Returns the time of the first run in any process, in milliseconds since 1970. */
export async function begunAt(core: ConsumerCore, consumer: string): Promise<number> {
  const now = () => ({ at: core.runtime.now().toISOString() })
  return Date.parse((await readOrCreate(core, begunRows, consumer, now)).at)
}

/** Start position in an aggregate that the consumer has not met. */
export interface Start {
  /** Sequence of the last event that counts as seen. */
  readonly sequence: number
  /** All later events were stored after the first run: reading again yields the same. */
  readonly isCertain: boolean
}

/**
 * Returns the start position for a reported change.
 *
 * It is the first reported event, or an earlier one. Events of the same commit count too, since
 * their records arrive in any order. So do events stored since the first run, whose records failed
 * or are still to come.
 */
export async function startAtNews(core: ConsumerCore, change: AggregateChange, since: number): Promise<Start> {
  const first = change.first ?? change.sequence
  for (let look = 1; ; look *= 100) {
    const after = Math.max(0, first - 1 - look)
    const events = await eventsBetween(core, change, after, first)
    const told = events.at(-1)?.commitId
    const isSeen = (event: StoredEvent) => event.sequence < first && event.commitId !== told && isOld(event, since)
    const seen = events.map(isSeen).lastIndexOf(true)
    if (seen < 0 && after > 0) continue
    const sequence = events[seen]?.sequence ?? 0
    return { sequence, isCertain: !events.slice(seen + 1).some((event) => isOld(event, since)) }
  }
}

/** Returns the start position in an older aggregate: the first event since the first run. */
export async function startAmong(
  core: ConsumerCore,
  { aggregateType, aggregateId }: AggregateChange,
  since: number,
): Promise<Start> {
  for (let after = 0; ; ) {
    const page = await aggregatePage(core, { aggregateType, aggregateId, after })
    const next = page.events.find((event) => !isOld(event, since))
    after = next === undefined ? (page.events.at(-1)?.sequence ?? after) : next.sequence - 1
    if (next !== undefined || !page.more) return { sequence: after, isCertain: false }
  }
}

async function eventsBetween(core: ConsumerCore, { aggregateType, aggregateId }: AggregateChange, from: number, to: number) {
  const events: StoredEvent[] = []
  for (let after = from; after < to; ) {
    const page = await aggregatePage(core, { aggregateType, aggregateId, after }, to - after)
    events.push(...page.events)
    after = page.events.at(-1)?.sequence ?? to
    if (!page.more) break
  }
  return events
}

const isOld = ({ recordedAt }: StoredEvent, since: number): boolean => Date.parse(recordedAt) <= since
