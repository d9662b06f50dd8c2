import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { counts, publishing as publishingTo, sink } from '../support/messages.ts'

const kept = keeping()
const publishing = (...args: Parameters<typeof publishingTo>) => kept(publishingTo(...args))
const always = 1_000_000_000_000

describe('a publication', () => {
  test('a publication sends the public form of each event as a CloudEvent', async () => {
    const { target, sent } = sink()
    const app = publishing(target, { runtime: undefined })
    const metadata = { correlationId: 'c', causationId: 'b', traceparent: '00-1-2-01', password: 'secret', userId: 'ann' }
    const result = await app.aggregates.counter.execute('a', count(5), { metadata })
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
    expect(sent).toEqual([
      {
        specversion: '1.0',
        id: 'counter/a/1',
        source: '/tests',
        type: 'test.counted.v1',
        subject: 'a',
        time: result.ok ? result.events[0]?.recordedAt : undefined,
        datacontenttype: 'application/json',
        data: { by: 5, from: 'a' },
        partitionkey: 'counter/a',
        sequence: '0000000000000001',
        correlationid: 'c',
        causationid: 'b',
        traceparent: '00-1-2-01',
      },
    ])
    expect(JSON.stringify(sent)).not.toMatch(/secret|ann/)
  })
})
