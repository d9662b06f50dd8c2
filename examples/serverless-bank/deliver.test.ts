import { describe, expect, it } from 'vitest'
import { deliver } from './local/deliver.ts'
import type { Outcome } from './local/sandbox.ts'

const allDone: Outcome = { answer: { batchItemFailures: [] } }
const failure: Outcome = { failure: { errorType: 'Error', errorMessage: 'no' } }
const reports = (...ids: readonly (string | undefined)[]): Outcome => ({
  answer: { batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) },
})

/** Calls and given-up records, for a function with these answers. */
async function run(batch: string, answer: (records: string, call: number) => Outcome, tooOld = '') {
  const calls: string[] = []
  const dead: string[] = []
  const pauses: number[] = []
  await deliver([...batch], {
    idOf: (record) => record,
    invoke: async (records) => answer(records.join(''), calls.push(records.join(''))),
    retryAttempts: 2,
    isTooOld: (record) => tooOld.includes(record),
    pause: async (failures) => void pauses.push(failures),
    giveUp: (records, condition) => void dead.push(`${records.join('')} ${condition}`),
  })
  return { calls, dead, pauses }
}

describe('a batch of the stream in the local run', () => {
  it.each([
    ['an empty report', allDone],
    ['a report that is null', { answer: { batchItemFailures: null } }],
    ['no report', { answer: null }],
    ['an answer that is none', { answer: {} }],
  ])('a batch is done with %s', async (_, outcome) => {
    expect(await run('abc', () => outcome)).toEqual({ calls: ['abc'], dead: [], pauses: [] })
  })

  it('a batch continues from the first reported record, in any order of the report', async () => {
    const { calls, dead } = await run('abcd', (_, call) => (call === 1 ? reports('d', 'b') : allDone))
    expect({ calls, dead }).toEqual({ calls: ['abcd', 'bcd'], dead: [] })
  })

  it.each([['x'], [''], [undefined]])('a batch is repeated as a whole when the unknown id %j is reported', async (id) => {
    const { calls } = await run('abc', (_, call) => (call === 1 ? reports('b', id) : allDone))
    expect(calls).toEqual(['abc', 'abc'])
  })

  it('a batch is given up from a record that fails at every attempt', async () => {
    const { calls, dead, pauses } = await run('abc', () => reports('b'))
    expect(calls).toEqual(['abc', 'bc', 'bc', 'bc'])
    expect(dead).toEqual(['bc RetryAttemptsExhausted'])
    expect(pauses).toEqual([0, 1, 2])
  })

  it('a batch is halved when the function fails until the bad record is alone', async () => {
    const { calls, dead } = await run('abcd', (records) => (records.includes('c') ? failure : allDone))
    expect(calls).toEqual(['abcd', 'ab', 'cd', 'c', 'c', 'c', 'd'])
    expect(dead).toEqual(['c RetryAttemptsExhausted'])
  })

  it('a batch is given up when it is too old', async () => {
    expect((await run('ab', () => reports('b'), 'b')).dead).toEqual(['b RecordAgeExceeded'])
    expect((await run('ab', (_, call) => (call > 2 ? allDone : reports('a')), 'b')).dead).toEqual([])
  })
})
