import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { atStrength } from '../strength.ts'
import { openBank } from './accounts.ts'
import { Ledger } from './ledger.ts'
import { type CrashServer, crashStores } from './servers.ts'

const workers = 12

/** Commands that each worker has accepted before the server is killed, and after it is back. */
const atEase = 15

const kills = atStrength({ moderate: 1, full: 2 })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

for (const kind of crashStores)
  describe.skipIf(unselected(kind.store))(`${kind.name} whose server is killed under load`, () => {
    let server: CrashServer
    beforeAll(async () => {
      server = await kind.startServer({ durable: true })
    })
    afterAll(() => server?.stop())

    test('the app fails clearly, reconnects by itself and has neither lost nor duplicated events', async () => {
      const { store, close } = kind.connect(server.port)
      await store.createSchema()
      const bank = openBank(store)
      const ledger = new Ledger()
      const accepted = Array.from({ length: workers }, () => 0)
      let refused = 0
      let stopping = false
      const load = accepted.map(async (_, nth) => {
        for (let n = 0; !stopping; n++) {
          const aggregate = n % 3 === 0 ? 'counter' : 'account'
          const by = n % 3 === 2 ? [1, -2, 3] : [n]
          const { outcome } = await ledger.give(bank, { aggregate, id: `${aggregate}-${nth}`, by }, n % 2 === 0)
          if (outcome.kind === 'accepted') accepted[nth] = (accepted[nth] ?? 0) + 1
          else {
            refused++
            await sleep(20)
          }
        }
      })
      const everybodyAccepts = async (more: number) => {
        const goals = accepted.map((count) => count + more)
        while (accepted.some((count, nth) => count < (goals[nth] ?? 0))) await sleep(10)
      }

      for (let n = 0; n < kills; n++) {
        await everybodyAccepts(atEase)
        await server.kill()
        // Whoever is back soon enough is not noticed: what was under way is sent again for a while.
        for (const before = refused; refused === before; ) await sleep(10)
        await sleep(500)
        await server.start()
      }
      await everybodyAccepts(atEase)
      stopping = true
      await Promise.all(load)
      await close()

      const fresh = kind.connect(server.port)
      const said = ledger.tally()
      console.log(`${kind.name}: ${JSON.stringify({ commands: ledger.entries.length, ...said })}`)
      const { accepted: successes, ...failures } = said
      expect(successes).toBeGreaterThanOrEqual(workers * atEase * (kills + 1))
      expect(Object.keys(failures).length).toBeGreaterThan(0)
      for (const code of Object.keys(failures)) expect(['STORE_UNAVAILABLE', 'unknown'], code).toContain(code)

      const bankAgain = openBank(fresh.store)
      const stored = await ledger.check(bankAgain, fresh.store)
      for (const entry of ledger.entries) {
        if (entry.outcome.kind !== 'unknown' || entry.idempotencyKey === undefined) continue
        expect(await ledger.run(bankAgain, entry)).toBe(stored.has(entry.number))
        expect(entry.outcome.kind).toBe('accepted')
      }
      await ledger.check(openBank(fresh.store), fresh.store)
      await fresh.close()
    })
  })
