import type { DeserializationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Store } from '../store/store.ts'
import { deposit, range } from './build.ts'
import { type Cases, corruptEvents, globalOrder, when } from './case.ts'
import { equal, rejects, send, stored, stores } from './check.ts'
import { idsOf, readAll, readLog, sequences } from './read.ts'

export const corruptionCases: Cases = {
  'a read of an event with corrupt JSON fails and names the event': when(corruptEvents, async (database) => {
    const { store } = database
    await stores(store, deposit('a', 0, 5), deposit('b', 0, 2))
    await database.corruptEvent?.('account', 'a', 3)
    await namesEvent(() => store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 }))
    await namesEvent(() => readAll(store, 'a', { after: 2, limit: 1 }))
    equal('the events before it', await sequences(store, 'a', { upTo: 2 }), [1, 2])
    equal('the events behind it', await sequences(store, 'a', { after: 3 }), [4, 5])
    equal('another aggregate', await sequences(store, 'b'), [1, 2])
  }),

  'a corrupt event does not stop writers': when(corruptEvents, async (database) => {
    const { store } = database
    const sent = deposit('a', 0, 2)
    await stores(store, sent)
    await database.corruptEvent?.('account', 'a', 2)
    equal('sent again', (await send(store, sent)).kind, 'repeated')
    stored(await send(store, deposit('a', 2)))
    equal('ids', (await store.readIds({ aggregateType: 'account', limit: 5 })).items, ['a'])
  }),

  'a corrupt event stops only readers of the feed whose filter includes it': when(
    [corruptEvents, globalOrder],
    async (database) => {
      const { store } = database
      for (const i of range(5)) await stores(store, deposit('a', i), deposit('b', i))
      const all = await readLog(store)
      await database.corruptEvent?.('account', 'a', 3)
      const seen: string[] = []
      const error = await namesEvent(() => readOneByOne(store, seen))
      equal('its place in the log', error.position, all[4]?.position)
      equal('seen before it', seen, idsOf(all.slice(0, 4)))
      equal('of other types', await readLog(store, { only: [{ aggregateType: 'order' }] }), [])
      equal(
        'of other event types',
        await readLog(store, { only: [{ aggregateType: 'account', eventTypes: ['AccountOpened'] }] }),
        [],
      )
      equal('behind it', await readLog(store, { after: all[4]?.position as Position }), all.slice(5))
    },
  ),
}

async function namesEvent(read: () => Promise<unknown>) {
  const error = (await rejects('the read', 'DESERIALIZATION', read)) as DeserializationError
  equal('the event', [error.aggregateType, error.aggregateId, error.sequence], ['account', 'a', 3])
  return error
}

async function readOneByOne(store: Store, seen: string[]) {
  let after: Position | undefined
  for (let more = true; more; ) {
    const page = await store.readFeed({ limit: 1, ...(after !== undefined && { after }) })
    seen.push(...idsOf(page.events))
    after = page.position
    more = page.more
  }
}
