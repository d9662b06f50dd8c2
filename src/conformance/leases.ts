import type { Store } from '../store/store.ts'
import { commit, range } from './build.ts'
import type { Cases } from './case.ts'
import { conflicts, equal, holds, send, stored } from './check.ts'
import { eventually, lease, pause } from './read.ts'

const name = 'mailer'

export const leaseCases: Cases = {
  'a held lease is refused to others with its holder and remaining time': async (database) => {
    await lease(database.store, name, 'one', 60_000)
    const answer = await (await database.connect()).acquireLease({ name, holder: 'two', ttlMs: 60_000 })
    if (answer.acquired) return equal('acquired', true, false)
    equal('holder', answer.holder, 'one')
    holds(`${answer.remainingMs} ms remain, of 60,000`, answer.remainingMs > 0 && answer.remainingMs <= 60_000)
  },

  'leases of different names are held independently': async ({ store }) => {
    await lease(store, name)
    await lease(store, 'Mailer', 'two')
    await lease(store, `${name} `, 'three')
  },

  'a lease that its holder takes again has a greater fence, which makes the earlier one stale': async ({ store }) => {
    const fences = [await lease(store, name), await lease(store, name), await lease(store, name)]
    const [first, second, third] = fences as [number, number, number]
    holds(`fences grow: ${fences}`, first < second && second < third)
    conflicts(await writes(store, first), 'fence')
    conflicts(await writes(store, second), 'fence')
    equal('renewed with a stale fence', await store.renewLease({ name, fence: second, ttlMs: 60_000 }), false)
    stored(await writes(store, third))
  },

  'a lease that its holder takes again is held for the new time': async ({ store }) => {
    await lease(store, name, 'one', 50)
    await lease(store, name, 'one', 60_000)
    await pause(100)
    equal('free for another', (await store.acquireLease({ name, holder: 'two', ttlMs: 60_000 })).acquired, false)
  },

  'one of eight concurrent callers gets a free lease': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(5)) {
      const answers = await Promise.all(
        range(8).map((i) =>
          (connections[i % 2] as Store).acquireLease({ name: `lease-${round}`, holder: String(i), ttlMs: 60_000 }),
        ),
      )
      const winner = answers.findIndex(({ acquired }) => acquired)
      equal('acquired', answers.filter(({ acquired }) => acquired).length, 1)
      for (const answer of answers) if (!answer.acquired) equal('holder', answer.holder, String(winner))
    }
  },

  'a released lease is free, and its fence is valid for no caller': async ({ store }) => {
    const fence = await lease(store, name)
    await store.releaseLease({ name, fence })
    conflicts(await writes(store, fence), 'fence')
    equal('renewed', await store.renewLease({ name, fence, ttlMs: 60_000 }), false)
    const next = await lease(store, name, 'two')
    holds(`fences grow: ${fence}, ${next}`, fence < next)
    stored(await writes(store, next))
  },

  'fences grow across holders and releases': async (database) => {
    const connections = [database.store, await database.connect()]
    let last = -1
    for (const i of range(10)) {
      const store = connections[i % 2] as Store
      const fence = await lease(store, name, String(i))
      holds(`fences grow: ${last}, ${fence}`, fence > last)
      last = fence
      await store.releaseLease({ name, fence })
    }
  },

  'a release with a stale fence does nothing': async ({ store }) => {
    await store.releaseLease({ name, fence: 1 })
    const old = await lease(store, name)
    const fence = await lease(store, name)
    await store.releaseLease({ name, fence: old })
    await store.releaseLease({ name, fence: fence + 1 })
    equal('free for another', (await store.acquireLease({ name, holder: 'two', ttlMs: 60_000 })).acquired, false)
    stored(await writes(store, fence))
  },

  'a lease that was never taken cannot be renewed': async ({ store }) => {
    for (const fence of [0, 1]) equal('renewed', await store.renewLease({ name, fence, ttlMs: 60_000 }), false)
    await lease(store, name)
  },

  'an expired lease is taken over, and the fence of the earlier holder stays stale': async (database) => {
    const old = await lease(database.store, name, 'one', 30)
    const other = await database.connect()
    const fence = await eventually('the take-over', async () => {
      const answer = await other.acquireLease({ name, holder: 'two', ttlMs: 60_000 })
      return answer.acquired ? answer.fence : undefined
    })
    holds(`fences grow: ${old}, ${fence}`, old < fence)
    conflicts(await writes(database.store, old), 'fence')
    equal('renewed', await database.store.renewLease({ name, fence: old, ttlMs: 60_000 }), false)
    await database.store.releaseLease({ name, fence: old })
    equal('taken back', (await database.store.acquireLease({ name, holder: 'one', ttlMs: 60_000 })).acquired, false)
    stored(await writes(other, fence))
  },

  'a renewed lease stays held': async (database) => {
    const { store } = database
    const fence = await lease(store, name, 'one', 200)
    equal('renewed', await store.renewLease({ name, fence, ttlMs: 60_000 }), true)
    await pause(250)
    equal('free for another', (await (await database.connect()).acquireLease({ name, holder: 'two', ttlMs: 1 })).acquired, false)
    stored(await writes(store, fence))
  },

  'an expired lease keeps its holder until another one takes it over': async ({ store }) => {
    const fence = await lease(store, name, 'one', 10)
    await pause(50)
    stored(await writes(store, fence))
    equal('renewed', await store.renewLease({ name, fence, ttlMs: 60_000 }), true)
    equal('free for another', (await store.acquireLease({ name, holder: 'two', ttlMs: 60_000 })).acquired, false)
    stored(await writes(store, fence))
  },
}

const writes = (store: Store, fence: number) => send(store, commit({ checkpoint: { name, fence, position: '1' } }))
