import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { fates as allFates, type CuttingProxy, startProxy } from '../servers/proxy.ts'
import { unselected } from '../servers/stores.ts'
import { atStrength, everySecond } from '../strength.ts'
import { randomOf } from '../support/random.ts'
import { mark, openBank } from './accounts.ts'
import { type Entry, Ledger } from './ledger.ts'
import { type CrashServer, crashStores } from './servers.ts'

/** `CUT_SEED=…` repeats a run, as far as the timing of a network lets it. */
const seed = Number(process.env.CUT_SEED ?? Math.floor(Math.random() * 2 ** 32))

/** How long a client waits for an answer, and how long the network keeps a request at least when it stalls. */
const patienceMs = 200
const holdMs = 230

/** Connections to cut while an append is under way. */
const wanted = atStrength({ moderate: 16, full: 500 })

/** Resending is the core's: by day Postgres and MariaDB. */
for (const kind of everySecond(crashStores, 0))
  describe.skipIf(unselected(kind.store))(`${kind.name} behind a network that cuts connections`, () => {
    const { fates = allFates } = kind
    const random = randomOf(seed)
    const upTo = (most: number) => Math.floor(random() * (most + 1))
    const oneOf = <T>(items: readonly T[]): T => items[upTo(items.length - 1)] as T

    let server: CrashServer
    let proxy: CuttingProxy
    /** How many appends, of 1, are hit; now and then nearly all, so that resending comes to its end. */
    let hits = 0
    beforeAll(async () => {
      server = await kind.startServer({ durable: false })
      proxy = await startProxy({
        to: server.port,
        random,
        isTarget: (sent) => sent.includes(mark),
        fate: () => (random() < hits ? oneOf(fates) : undefined),
        strays: 0.2,
        holdMs,
      })
    })
    afterAll(async () => {
      await proxy?.close()
      await server?.stop()
    })

    test(`${wanted} cut connections store nothing twice and report no stored command as failed`, async () => {
      onTestFailed(() => console.log(`To repeat: CUT_SEED=${seed}`))
      const direct = kind.connect(server.port)
      await direct.store.createSchema()
      const ledger = new Ledger()
      const clients = [kind.connect(proxy.port, patienceMs), kind.connect(proxy.port, patienceMs)]
      const banks = clients.map(({ store }) => openBank(store, 10))
      const cutUnderWay = () => fates.reduce((sum, fate) => sum + (proxy.cuts.get(fate) ?? 0), 0)
      const isRepeatable = ({ outcome, idempotencyKey }: Entry) => outcome.kind === 'unknown' && idempotencyKey !== undefined
      const isEnough = () =>
        cutUnderWay() >= wanted &&
        fates.every((fate) => (proxy.cuts.get(fate) ?? 0) > wanted / 20) &&
        ledger.entries.filter(({ outcome }) => outcome.kind === 'accepted').length > wanted / 4 &&
        ledger.entries.some(isRepeatable)

      const work = async (nth: number) => {
        while (!isEnough()) {
          hits = cutUnderWay() % 100 < 70 ? 0.3 : 0.9
          const aggregate = oneOf(['account', 'account', 'counter'] as const)
          const by = aggregate === 'counter' ? [1 + upTo(9)] : Array.from({ length: oneOf([1, 1, 2, 12]) }, () => upTo(20) - 10)
          await ledger.give(oneOf(banks), { aggregate, id: `${aggregate}-${(nth + upTo(2)) % 10}`, by }, random() < 0.5)
        }
      }
      await Promise.all(Array.from({ length: 24 }, (_, nth) => work(nth)))
      await proxy.settled()

      const bank = openBank(direct.store)
      const before = await ledger.check(bank, direct.store)
      const said = ledger.tally()
      for (const code of Object.keys(said)) expect(['accepted', 'unknown', 'CONFLICT', 'STORE_UNAVAILABLE'], code).toContain(code)

      // Repeating tells: what was stored is replayed, what was not is stored now. Without a key nobody can know.
      proxy.calm()
      const calm = kind.connect(proxy.port)
      const calmBank = openBank(calm.store)
      const open = ledger.entries.filter(isRepeatable)
      for (const entry of open) {
        const replayed = await ledger.run(calmBank, entry)
        expect(entry.outcome, `command ${entry.number}`).toMatchObject({ kind: 'accepted' })
        expect(replayed, `command ${entry.number}`).toBe(before.has(entry.number))
      }
      const after = await ledger.check(openBank(direct.store), direct.store)
      expect(after.size - before.size).toBe(open.filter(({ number }) => !before.has(number)).length)

      console.log(
        `${kind.name}, seed ${seed}: ${JSON.stringify({ commands: ledger.entries.length, ...said, cuts: Object.fromEntries(proxy.cuts) })}`,
      )
      await Promise.all([...clients, calm, direct].map(({ close }) => close()))
    })
  })
