import { memoryStore } from 'cqrs-es/memory'
import type { Target } from 'cqrs-es/messaging'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { brokers, sayUntested } from '../servers/brokers.ts'
import { count } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { counts, publishing as publishingTo } from '../support/messages.ts'
import { type Lab, labs } from './labs.ts'

sayUntested()

const kept = keeping()
const publishing = (...args: Parameters<typeof publishingTo>) => kept(publishingTo(...args))

/** Ids as long as allowed, and with any characters: brokers allow less than the package. */
const ids = ['a', 'b', 'ü€😀 ', 'x'.repeat(255)]

/** Every third call fails: in turn before the broker has the messages, and after it. */
function unreliable(target: Target): Target {
  let nth = 0
  const send: Target['send'] = async (messages, options) => {
    nth++
    if (nth % 6 === 3) throw new Error('not sent')
    const result = await target.send(messages, options)
    if (nth % 6 === 0) throw new Error('the acknowledgement was lost')
    return result
  }
  return { ...target, send }
}

describe.each(labs.filter(({ broker }) => brokers.includes(broker)))(
  '$what on $broker',
  ({ make, what, keepsOrder, dropsRepeats }) => {
    const name = `test-${what.replace(/\W/g, '')}-${Date.now()}`
    let lab: Lab
    beforeAll(async () => {
      lab = await make(name)
    })
    afterAll(() => lab?.close())

    test('publishes each event in the order of its aggregate when every third call fails', async () => {
      const app = publishing(unreliable(lab.target))
      const rounds = keepsOrder ? 6 : 2
      for (let i = 1; i <= rounds; i++) for (const id of ids) await app.aggregates.counter.execute(id, count(i))
      for (let i = 0; i < 100 && !(await app.drain()).caughtUp; i++);
      expect((await app.publications.counts.parked()).items).toEqual([])
      const total = ids.length * rounds
      const found = await lab.receive(total)
      const seen = new Map(found.map((event) => [event.id, event]))
      while (seen.size < total) for (const event of await lab.receive(1)) seen.set(event.id, event)
      for (const id of ids) {
        const own = [...seen.values()].filter(({ subject }) => subject === id).map(({ data }) => (data as { by: number }).by)
        const expected = Array.from({ length: rounds }, (_, i) => i + 1)
        expect(keepsOrder ? own : [...own].sort()).toEqual(expected)
      }
      const one = seen.get(`counter/${ids[2]}/2`)
      expect(one).toMatchObject({
        specversion: '1.0',
        source: '/tests',
        type: 'test.counted.v1',
        partitionkey: `counter/${ids[2]}`,
        sequence: '0000000000000002',
        data: { by: 2, from: ids[2] },
      })
    })

    test.runIf(dropsRepeats)('drops messages of a replay', async () => {
      const app = publishing(lab.target, { store: memoryStore(), publication: counts({ source: '/repeats' }) })
      await app.aggregates.counter.execute('a', count(1))
      await app.drain()
      expect(await app.publications.counts.replay()).toEqual({ messages: 1 })
      await app.aggregates.counter.execute('a', count(2))
      await app.drain()
      const found = (await lab.receive(2)).filter(({ source }) => source === '/repeats')
      expect(found.map(({ data }) => (data as { by: number }).by)).toEqual([1, 2])
    })
  },
)
