import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import { begunRows } from '../../store/internal-rows.ts'
import type { AggregateChange } from '../change.ts'
import type { ConsumerCore } from '../core.ts'
import { readOrCreate } from '../rows.ts'

/** When it ran first, in whichever process, in milliseconds since 1970. */
export async function begunAt(core: ConsumerCore, consumer: string): Promise<number> {
  const now = () => ({ at: core.runtime.now().toISOString() })
  return Date.parse((await readOrCreate(core, begunRows, consumer, now)).at)
}

/** Where it begins in an aggregate that it was never in. */
export interface Start {
  /** Of the last event that counts as seen. */
  readonly sequence: number
  /** What comes behind it was all stored since it runs: whoever looks again comes to the same. */
  readonly isCertain: boolean
}

/**
 * Where it begins when it is told of an aggregate: at the first event that is told of, or at an earlier one that belongs to it (that of the same commit, whose records come in any order)
 * or was stored since it runs (whose record failed, or is still to come).
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

/** Where it begins in an aggregate that was there before: at the first event since it runs. */
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
