import { createApp, defineSubscription } from 'cqrs-es'
import { expect, test } from 'vitest'
import { failureOf } from '../../support/async.ts'
import { processOf, signal, stepping, stores, target, toDo } from '../../support/process-stories.ts'

const other = defineSubscription({ name: 'other', aggregates: [signal], handle: () => {} })

test.each(stores)('an undefined process is a leftover, and begins again after its removal, on $name', async ({ open }) => {
  const store = await open()
  const process = processOf({ on: { Began: () => ({ send: [toDo('x')] }) } })
  const first = stepping(process, { store })
  await first.begin('a')
  await first.drain()
  const app = createApp({
    store,
    aggregates: { signal, target },
    services: { target: { fails: () => false, seen: [] } },
    subscriptions: { other },
    runtime: first.clock,
  })
  const [leftover] = await app.leftovers()
  expect(leftover).toMatchObject({ kind: 'process', name: 'steps' })
  expect(await failureOf(leftover?.remove({ reason: 'too early' }) as Promise<void>)).toMatchObject({ code: 'NOT_YET' })
  first.clock.advance('2h')
  await leftover?.remove({ reason: 'not needed' })
  expect(await app.leftovers()).toEqual([])
  expect(await first.load('a')).toBeUndefined()
  const again = stepping(process, { store, clock: first.clock })
  await again.drain()
  expect([await again.load('a'), await again.done()]).toMatchObject([{ status: 'running' }, ['x', 'x']])
  await app.close()
  await first.app.close()
  await again.app.close()
})
