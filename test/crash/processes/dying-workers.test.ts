import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { atStrength, isFull } from '../../strength.ts'
import { unordered } from '../../support/stores.ts'
import { fulfilOrders, type Outcome } from './orders.ts'

const seeds = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

async function runs(count: number, run: (seed: number) => Promise<Outcome>) {
  const sum = { deaths: 0, shipped: 0, canceled: 0, problems: [] as string[] }
  for (const seed of seeds(count)) {
    const { deaths, shipped, canceled, problems } = await run(seed)
    sum.deaths += deaths
    sum.shipped += shipped
    sum.canceled += canceled
    sum.problems.push(...problems.map((problem) => `seed ${seed}: ${problem}`))
  }
  return sum
}

test('no command is lost or stored twice when workers die before or after any call of the store', async () => {
  const { deaths, shipped, canceled, problems } = await runs(atStrength({ moderate: 12, full: 1_000 }), (seed) =>
    fulfilOrders(memoryStore(), seed),
  )
  expect(problems).toEqual([])
  expect(Math.min(deaths, shipped, canceled)).toBeGreaterThan(0)
})

test('no command is lost or stored twice on a store without a global order', async () => {
  const { problems } = await runs(atStrength({ moderate: 8, full: 200 }), (seed) => fulfilOrders(unordered(memoryStore()), seed))
  expect(problems).toEqual([])
})

/** How workers take turns depends on the machine, so that no single seed is sure to break. */
const mostSeeds = 5_000
/** With a key it takes hundreds of seeds to break. */
const wrong = isFull ? (['apart', 'keyed'] as const) : (['apart'] as const)

test.each(wrong)('the test notices when commands are stored before their instance: %s', async (way) => {
  let problems: readonly string[] = []
  for (let seed = 1; seed <= mostSeeds && problems.length === 0; seed++)
    problems = (await fulfilOrders(memoryStore(), seed, way)).problems
  expect(problems).not.toEqual([])
})
