import type { Store } from 'cqrs-es/store'
import { expect } from 'vitest'
import { append } from './commits.ts'

/** Uses each table once. */
export async function use(store: Store, id: string) {
  const lease = await store.acquireLease({ name: id, holder: 'me', ttlMs: 60_000 })
  const first = append(id, 'account', id, 0, [1])
  const [outcome] = await store.append([
    {
      id,
      appends: [{ ...first, snapshot: { stateVersion: '1', state: { id } } }],
      key: { idempotencyKey: id, commandHash: 'h' },
      views: [{ name: 'v', generation: 1, id, expectedVersion: 0, view: { id }, indexes: [{ index: 'i', value: id }] }],
      checkpoint: { name: id, fence: lease.acquired ? lease.fence : 0, position: '1' },
    },
  ])
  expect(outcome).toMatchObject({ kind: 'stored' })
  await store.addViewGeneration({ name: id, generation: 1, viewVersion: '1' })
  const request = { aggregateType: 'account', aggregateId: id, after: 0, snapshot: { stateVersion: '1' } }
  expect((await store.readAggregate(request)).snapshot).toMatchObject({ state: { id } })
  expect(await store.readViews([{ name: 'v', generation: 'live', id }])).toMatchObject([{ view: { id } }])
}
