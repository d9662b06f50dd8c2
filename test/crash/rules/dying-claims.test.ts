import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { atStrength } from '../../strength.ts'
import { randomOf } from '../../support/random.ts'
import { claimAndExpire, type Outcome } from './claims.ts'

async function runs(count: number, way: 'together' | 'apart') {
  const sum = { deaths: 0, taken: 0, expired: 0, problems: [] as string[] }
  for (let seed = 1; seed <= count; seed++) {
    const outcome: Outcome = await claimAndExpire(memoryStore(), randomOf(seed), way)
    sum.deaths += outcome.deaths
    sum.taken += outcome.taken
    sum.expired += outcome.expired
    sum.problems.push(...outcome.problems.map((problem) => `seed ${seed}: ${problem}`))
  }
  return sum
}

test('values and deadlines survive workers that die before or after any call of the store', async () => {
  const { deaths, taken, expired, problems } = await runs(atStrength({ moderate: 25, full: 1_000 }), 'together')
  expect(problems).toEqual([])
  expect(Math.min(deaths, taken, expired)).toBeGreaterThan(0)
})

test('the test notices when claims are stored after the events', async () => {
  const { problems } = await runs(atStrength({ moderate: 20, full: 40 }), 'apart')
  expect(problems).not.toEqual([])
})
