import type { LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import type { Store } from '../store/store.ts'
import { commit, range } from './build.ts'
import { type Cases, consumers, leaseCheckpoints, when } from './case.ts'
import { equal, holds, send, stores } from './check.ts'
import { lease, pause } from './read.ts'

export const consumerCases: Cases = {
  'readConsumers keeps the order of the names, each with its checkpoint and lease': when(consumers, async (database) => {
    const { store } = database
    const fence = await lease(store, 'mailer', 'one')
    await move(store, 'mailer', fence, '7')
    const other = await lease(store, 'balances', 'two')
    const found = await read(await database.connect(), ['nobody', 'mailer', 'balances', 'mailer', 'Mailer', 'mailer '])
    const mailer = { checkpoint: { position: '7', fence }, lease: { holder: 'one', fence } }
    equal('consumers', found.map(timeless), [{}, mailer, { lease: { holder: 'two', fence: other } }, mailer, {}, {}])
    for (const ms of found.flatMap((one) => one.lease?.remainingMs ?? []))
      holds(`${ms} ms remain, of 60,000`, ms > 0 && ms <= 60_000)
    equal('of no name', await read(store, []), [])
  }),

  'a consumer has one fence of its checkpoint and one of its lease': when(consumers, async ({ store }) => {
    const old = await lease(store, 'mailer', 'one')
    await move(store, 'mailer', old, '7')
    await store.releaseLease({ name: 'mailer', fence: old })
    const fence = await lease(store, 'mailer', 'two')
    const [found = {}] = await read(store, ['mailer'])
    equal('consumer', timeless(found), { checkpoint: { position: '7', fence: old }, lease: { holder: 'two', fence } })
  }),

  'readConsumers omits a released lease and keeps the checkpoint of its consumer': when(consumers, async ({ store }) => {
    const fence = await lease(store, 'mailer')
    await move(store, 'mailer', fence, '7')
    await store.releaseLease({ name: 'mailer', fence })
    equal('consumer', await read(store, ['mailer']), [{ checkpoint: { position: '7', fence } }])
  }),

  'readConsumers omits an expired lease until its holder renews it': when(consumers, async ({ store }) => {
    const fence = await lease(store, 'mailer', 'one', 30)
    await move(store, 'mailer', fence, '7')
    const checkpoint = { position: '7', fence }
    let [found = {}] = await read(store, ['mailer'])
    for (let tries = 0; tries < 200 && found.lease !== undefined; tries++) {
      await pause(10)
      found = (await read(store, ['mailer']))[0] ?? {}
    }
    equal('two seconds later', found, { checkpoint })
    equal('renewed', await store.renewLease({ name: 'mailer', fence, ttlMs: 60_000 }), true)
    equal('then', (await read(store, ['mailer'])).map(timeless), [{ checkpoint, lease: { holder: 'one', fence } }])
  }),

  'readConsumers takes no lease and moves no checkpoint': when(consumers, async (database) => {
    const { store } = database
    const fence = await lease(store, 'mailer', 'one')
    await move(store, 'mailer', fence, '7')
    await read(await database.connect(), ['mailer', 'free'])
    equal('renewed', await store.renewLease({ name: 'mailer', fence, ttlMs: 60_000 }), true)
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '7', fence })
    await move(store, 'mailer', fence, '8')
    await lease(store, 'free', 'two')
  }),

  'readConsumers reads 250 consumers at once': when(consumers, async ({ store }) => {
    const name = (i: number) => `consumer-${i}`
    const known = [0, 99, 100, 249]
    for (const i of known) await move(store, name(i), await lease(store, name(i)), String(i))
    const found = await read(store, range(250).map(name))
    equal('answers', found.length, 250)
    equal(
      'positions',
      found.flatMap(({ checkpoint }, i) => (checkpoint ? [[i, checkpoint.position]] : [])),
      known.map((i) => [i, String(i)]),
    )
  }),

  'acquireLease returns the checkpoint of its name': when(leaseCheckpoints, async (database) => {
    const { store } = database
    const other = await database.connect()
    const first = await take(store, 'mailer', 'one')
    equal('of a new name', first.checkpoint, null)
    await move(store, 'mailer', first.fence, '1')
    const again = await take(store, 'mailer', 'one')
    equal('of a lease that its holder takes again', again.checkpoint, { position: '1', fence: first.fence })
    await move(store, 'mailer', again.fence, '30')
    equal('of another name', (await take(store, 'Mailer', 'one')).checkpoint, null)
    await store.releaseLease({ name: 'mailer', fence: again.fence })
    const next = await take(other, 'mailer', 'two')
    equal('of a lease that another has released', next.checkpoint, { position: '30', fence: again.fence })
    await other.releaseLease({ name: 'mailer', fence: next.fence })
    const last = await take(store, 'mailer', 'three')
    equal('of a consumer that has not moved since', last.checkpoint, { position: '30', fence: again.fence })
  }),

  'the checkpoint that acquireLease returns includes every move under an earlier fence': when(
    leaseCheckpoints,
    async (database) => {
      const other = await database.connect()
      for (const round of range(30)) {
        const name = `mailer-${round}`
        const fence = await lease(database.store, name)
        const late = range(4).map((i) => commit({ checkpoint: { name, fence, position: String(i) } }))
        const early = round % 2
        const before = late.slice(0, early * 4).map((one) => send(database.store, one))
        const taken = take(other, name, 'one')
        await Promise.all([...before, ...late.slice(early * 4).map((one) => send(database.store, one))])
        equal('checkpoint', (await taken).checkpoint, (await database.store.readCheckpoint(name)) ?? null)
      }
    },
  ),
}

const move = (store: Store, name: string, fence: number, position: string) =>
  stores(store, commit({ checkpoint: { name, fence, position } }))

async function read(store: Store, names: readonly string[]): Promise<readonly StoredConsumer[]> {
  const found = await store.readConsumers?.(names)
  return found ?? []
}

/** Omits the remaining time of the lease, which differs between reads. */
function timeless({ lease: held, ...rest }: StoredConsumer) {
  if (held === undefined) return rest
  const { remainingMs: _, ...others } = held
  return { ...rest, lease: others }
}

async function take(store: Store, name: string, holder: string): Promise<Extract<LeaseAnswer, { acquired: true }>> {
  const answer = await store.acquireLease({ name, holder, ttlMs: 60_000 })
  equal(`the lease is free for '${holder}'`, answer.acquired, true)
  return answer.acquired ? answer : { acquired: true, fence: 0 }
}
