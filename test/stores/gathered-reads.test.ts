import { StoreError } from 'cqrs-es/store'
import { describe, expect, it } from 'vitest'
import { GatheredReads } from '../../src/sql/gathered-reads.ts'

interface Call {
  readonly requests: readonly number[]
  /** Answers with as many as were read, by default all. */
  answer(read?: number): void
  fail(error: unknown): void
}

/** Reads whose calls the test answers. The answer to a number is its double; negative ones are damaged. */
function controlled() {
  const calls: Call[] = []
  const reads = new GatheredReads<number, number>(
    (requests) =>
      new Promise((resolve, reject) => {
        calls.push({ requests, answer: (read) => resolve(requests.slice(0, read).map(answerOf)), fail: reject })
      }),
  )
  return { calls, reads }
}

const answerOf = (request: number) => () => {
  if (request < 0) throw new Error(`${request} is damaged`)
  return request * 2
}

/** The next turn of the event loop, when all that could be sent is sent. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('gathered reads', () => {
  it('requests of one turn share a call, and later ones wait for a free lane', async () => {
    const { calls, reads } = controlled()
    const read = [reads.read(1), reads.read(2)]
    await turn()
    read.push(reads.read(3))
    await turn()
    read.push(reads.read(4), reads.read(5))
    await turn()
    expect(calls.map(({ requests }) => requests)).toEqual([[1, 2], [3]])
    calls[1]?.answer()
    await turn()
    expect(calls[2]?.requests).toEqual([4, 5])
    calls[2]?.answer()
    calls[0]?.answer()
    expect(await Promise.all(read)).toEqual([2, 4, 6, 8, 10])
  })

  it('a damaged answer fails its own request alone', async () => {
    const { calls, reads } = controlled()
    const read = Promise.allSettled([reads.read(1), reads.read(-2), reads.read(3)])
    await turn()
    calls[0]?.answer()
    expect((await read).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('a request that fails alone fails alone', async () => {
    const failing = new StoreError('STORE_CORRUPT', 'a damaged page')
    const reads = new GatheredReads<number, number>(async (requests) => {
      if (requests.includes(7)) throw failing
      return requests.map(answerOf)
    })
    const read = await Promise.allSettled(Array.from({ length: 10 }, (_, at) => reads.read(at)))
    expect(read.flatMap((one, at) => (one.status === 'rejected' ? [at, one.reason] : []))).toEqual([7, failing])
  })

  it('a lost connection fails all requests of the call once', async () => {
    const { calls, reads } = controlled()
    const read = Promise.allSettled([reads.read(1), reads.read(2), reads.read(3)])
    await turn()
    calls[0]?.fail(new StoreError('STORE_UNAVAILABLE', 'the connection was cut'))
    expect((await read).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(calls.length).toBe(1)
    const later = reads.read(4)
    await turn()
    calls[1]?.answer()
    expect(await later).toBe(8)
  })

  it('requests that a full page leaves out are read before later ones', async () => {
    const { calls, reads } = controlled()
    const read = [1, 2, 3].map((request) => reads.read(request))
    await turn()
    reads.read(4)
    calls[0]?.answer(1)
    await turn()
    expect(calls.map(({ requests }) => requests)).toEqual([[1, 2, 3], [4], [2, 3]])
    calls[2]?.answer()
    expect(await Promise.all(read)).toEqual([2, 4, 6])
  })
})
