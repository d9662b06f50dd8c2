import { readFileSync } from 'node:fs'
import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../run.ts'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { dynamoDb, newTables, removeTables, watched } from './dynamodb-tables.ts'

type Purse = { readonly coins: number }

/** Events of some 400 bytes in the table, as most are; an aggregate with ten of them. */
const purse = (snapshots: 'never' | 'always') =>
  defineAggregate({
    type: 'purse',
    events: { CoinAdded: typed<{ note: string }>() },
    commands: { Add: typed<{ count: number }>() },
    initialState: (): Purse => ({ coins: 0 }),
    snapshots,
    stateVersion: '1',
  }).implement({
    handle: {
      Add: (_, { count }) =>
        Array.from({ length: count }, () => ({ type: 'CoinAdded' as const, data: { note: 'x'.repeat(100) } })),
    },
    apply: { CoinAdded: ({ coins }) => ({ coins: coins + 1 }) },
  })

describe.skipIf(unselected('dynamodb'))('what a command costs on DynamoDB', () => {
  const client = { current: undefined as ReturnType<typeof dynamoDb> | undefined }
  const tables = newTables()
  beforeAll(async () => {
    client.current = dynamoDb(await serverUrl('dynamodb'))
    await dynamoDbStore(client.current, { tables }).createSchema()
  })
  afterAll(async () => {
    if (client.current) await removeTables(client.current, tables)
    client.current?.destroy()
  })

  /** One command on an aggregate of ten events: by a process that has never met it, then again. */
  async function measure(id: string, options: { count?: number; snapshots?: 'always'; view?: boolean; key?: boolean }) {
    if (client.current === undefined) throw new Error('no client')
    const { count = 1, snapshots = 'never', view = false, key = false } = options
    const start = () => {
      const watch = watched(client.current as never)
      const aggregate = purse(snapshots)
      const coins = defineView({
        name: `coins-${id.replace(/\W/g, '-')}`,
        aggregates: [aggregate],
        initialView: () => ({ coins: 0 }),
        update: { CoinAdded: ({ coins }) => ({ coins: coins + 1 }) },
      })
      const store = dynamoDbStore(watch.client, { tables })
      const app = createApp({ store, aggregates: { aggregate }, views: view ? { coins } : {} })
      let keys = 0
      const execute = async (n: number) => {
        watch.reset()
        const how = key ? { idempotencyKey: `k${id}-${++keys}-${Math.random()}` } : {}
        const result = await app.aggregates.aggregate.execute(id, { type: 'Add', data: { count: n } }, how)
        expect(result.ok).toBe(true)
        return `${watch.calls.length} | ${watch.units.read} | ${watch.units.write}`
      }
      return execute
    }
    await start()(10)
    const execute = start()
    return [await execute(count), await execute(count)]
  }

  /** Servers other than the emulator count units in their own ways; the requests are ours. */
  const counted = (line: string) =>
    process.env.TEST_DYNAMODB_ENDPOINT === undefined ? line : line.split('|').filter((_, i) => [1, 2, 5].includes(i))

  it('stands in the docs as it is measured', async () => {
    const commands = [
      ['one event', {}],
      ['three events', { count: 3 }],
      ['one event and a snapshot', { snapshots: 'always' }],
      ['one event and an inline view', { view: true }],
      ['one event and an idempotency key', { key: true }],
    ] as const
    const lines: string[] = []
    for (const [what, options] of commands) {
      const [cold, warm] = await measure(what, options)
      lines.push(`| ${what} | ${cold} | ${warm} |`)
    }
    const page = readFileSync(`${root}docs/stores/dynamodb.md`, 'utf8')
    const written = page.split('\n').filter((line) => /^\| (one|three) event/.test(line))
    expect(written.map(counted)).toEqual(lines.map(counted))
  })
})
