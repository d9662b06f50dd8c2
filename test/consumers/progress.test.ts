import { describe, expect, test } from 'vitest'
import type { Lease } from '../../src/consumers/lease.ts'
import { LogCheckpoint } from '../../src/consumers/log-checkpoint.ts'
import {
  bucketOf,
  buckets,
  isDone,
  type LogProgress,
  readProgress,
  startOf,
  writeProgress,
} from '../../src/consumers/progress.ts'
import { Sequences } from '../../src/consumers/sources/sequences.ts'
import type { Position } from '../../src/event-envelope.ts'
import { memoryStore } from '../../src/memory/index.ts'
import type { StoredEvent } from '../../src/store/commit.ts'
import { comparePositions } from '../../src/store/order.ts'
import { thrownBy } from '../support/async.ts'
import { randomOf } from '../support/random.ts'

const positionOf = (n: number) => String(n) as Position

const eventAt = (n: number, aggregateId = `a${n % 7}`): StoredEvent => ({
  id: `t/${aggregateId}/${n}`,
  type: 'E',
  version: '1.0',
  data: {},
  aggregateType: 't',
  aggregateId,
  sequence: n,
  position: positionOf(n),
  metadata: {},
  commitId: 'c',
  recordedAt: '2030-01-01T00:00:00.000Z',
})

function randomProgress(random: () => number): LogProgress {
  const below = (n: number) => Math.floor(random() * n)
  const at = below(1_000)
  const ahead = Object.fromEntries(Array.from({ length: below(3) }, () => [below(buckets), positionOf(at + 1 + below(50))]))
  const open = Object.fromEntries(
    Array.from({ length: below(4) }, () => {
      const bucket = below(buckets)
      return [bucket, Array.from({ length: 1 + below(3) }, () => positionOf(1 + below(Number(ahead[bucket] ?? at) || 1)))]
    }),
  )
  const sealed = random() < 0.2 ? ({ sealed: true } as const) : {}
  return { epoch: 1 + below(3), at: positionOf(at), ahead, open, ...sealed }
}

describe('the text of a checkpoint', () => {
  test('the text of a checkpoint keeps any progress and is a plain position when that is enough', () => {
    const random = randomOf(1)
    for (let i = 0; i < 2_000; i++) {
      const progress = randomProgress(random)
      const text = writeProgress(progress)
      expect(readProgress(text)).toMatchObject(JSON.parse(JSON.stringify(writtenForm(progress))))
      const { epoch, ahead, open, sealed } = progress
      const isPlain = epoch === 1 && !sealed && Object.keys({ ...ahead, ...open }).length === 0
      expect(/^\d+$/.test(text)).toBe(isPlain)
    }
  })

  test('the text of a checkpoint keeps positions beyond safe integers', () => {
    const at = '98765432109876543210987654321098' as Position
    expect(readProgress(writeProgress({ epoch: 1, at })).at).toBe(at)
    expect(startOf({ epoch: 1, at, open: { 3: [at] } })).toBe('98765432109876543210987654321097')
  })
})

/** Empty records are left out. */
const writtenForm = ({ ahead = {}, open = {}, ...rest }: LogProgress) => ({
  ...rest,
  ...(Object.keys(ahead).length > 0 && { ahead }),
  ...(Object.keys(open).length > 0 && { open }),
})

test('an event is done when its bucket was read up to it and it is not open', () => {
  const random = randomOf(2)
  for (let i = 0; i < 2_000; i++) {
    const progress = randomProgress(random)
    const event = eventAt(1 + Math.floor(random() * 1_100), `a${Math.floor(random() * 200)}`)
    const bucket = bucketOf(event)
    const reach = Number(progress.ahead?.[bucket] ?? progress.at)
    const isOpen = (progress.open?.[bucket] ?? []).some((position) => Number(position) === event.sequence)
    expect(isDone(progress, event)).toBe(event.sequence <= reach && !isOpen)
  }
})

describe('a checkpoint moved event by event', () => {
  function open(progress: LogProgress) {
    const lease = { text: null, write: async () => 'saved' } as unknown as Lease
    return { checkpoint: new LogCheckpoint(lease, 0, 1, progress, new Sequences(memoryStore())) }
  }

  test('a checkpoint counts exactly the done events, in any order and over several processes', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = randomOf(seed)
      const log = Array.from({ length: 60 }, (_, i) => eventAt(i + 1))
      const done = new Set<StoredEvent>()
      let progress: LogProgress = { epoch: 1, at: positionOf(0) }
      for (let run = 0; run < 12; run++) {
        const { checkpoint } = open(progress)
        for (let again = 0; again < 2; again++) {
          checkpoint.begin()
          const start = Number(checkpoint.position)
          const end = Math.min(log.length, start + 5 + Math.floor(random() * 30))
          const page = log.slice(start, end)
          const fresh = page.filter((event) => !checkpoint.isDone(event))
          expect(fresh).toEqual(page.filter((event) => !done.has(event)))
          checkpoint.pass({ events: fresh, position: positionOf(end), last: undefined })
          for (const event of fresh)
            if (random() < 0.6) {
              checkpoint.done(event)
              done.add(event)
            }
        }
        progress = readProgress(writeProgress(checkpoint.progress))
        for (const event of log) expect([event.sequence, isDone(progress, event)]).toEqual([event.sequence, done.has(event)])
      }
    }
  })

  test('a checkpoint is the position before the first open event while no event after it is done', () => {
    const { checkpoint } = open({ epoch: 1, at: positionOf(0) })
    const events = [1, 2, 3, 4].map((n) => eventAt(n))
    const [first, , third] = events as [StoredEvent, StoredEvent, StoredEvent]
    checkpoint.begin()
    checkpoint.pass({ events, position: positionOf(4), last: undefined })
    checkpoint.done(first)
    expect(writeProgress(checkpoint.progress)).toBe('1')
    checkpoint.done(third)
    expect(checkpoint.progress).toMatchObject({ at: '3', open: { [bucketOf(eventAt(2))]: ['2'] } })
  })

  test('a checkpoint stores nothing of a batch whose effects were refused', async () => {
    const lease = { text: null, write: async () => 'moved' } as unknown as Lease
    const checkpoint = new LogCheckpoint(lease, 0, 1, { epoch: 1, at: positionOf(0) }, new Sequences(memoryStore()))
    const events = [1, 2, 3].map((n) => eventAt(n))
    checkpoint.begin()
    checkpoint.pass({ events, position: positionOf(3), last: undefined })
    expect(await checkpoint.save(events[1] as StoredEvent)).toBe('moved')
    expect(comparePositions(checkpoint.position, positionOf(0))).toBe(0)
    expect(events.filter((event) => checkpoint.isDone(event))).toEqual([])
  })
})

test.each(['', 'x', '{', '"1"', 'null', '-1'])('a checkpoint that says %j is damaged', (text) => {
  expect(thrownBy(() => readProgress(text))).toMatchObject({ code: 'STORE_CORRUPT' })
})
