import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../run.ts'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { type Cost, dollarsPerMillion, type Group, lineOf, measureCosts, named } from './dynamodb-costs.ts'
import { type Recorder, recordDynamoDb } from './dynamodb-recorder.ts'

describe.skipIf(unselected('dynamodb'))('costs on DynamoDB', () => {
  const recorder = { current: undefined as Recorder | undefined }
  const measured = new Map<Group, Promise<readonly Cost[]>>()
  beforeAll(async () => {
    recorder.current = await recordDynamoDb(await serverUrl('dynamodb'))
  })
  afterAll(() => recorder.current?.stop())

  function costsOf(group: Group): Promise<readonly Cost[]> {
    if (recorder.current === undefined) throw new Error('no recorder')
    const costs = measured.get(group) ?? measureCosts(recorder.current, group)
    measured.set(group, costs)
    return costs
  }

  async function requests(group: Group): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries((await costsOf(group)).map(({ what, requests }) => [what, named(requests)]))
  }

  it('a cold command costs two requests and a warm one costs one', async () => {
    expect(await requests('commands')).toMatchObject({
      'one event, cold': 'Query, PutItem',
      'one event, warm': 'PutItem',
      'ten events, cold': 'Query, TransactWriteItems',
      'ten events, warm': 'TransactWriteItems',
      'a rejection, cold': 'Query',
      'a rejection, warm': 'Query',
    })
  })

  it('a cold snapshot, key or inline view costs one more request, a warm one only for a key', async () => {
    expect(await requests('commands')).toMatchObject({
      'one event and a snapshot, cold': 'GetItem, Query, TransactWriteItems',
      'one event and a snapshot, warm': 'TransactWriteItems',
      'one event and a key, cold': 'GetItem, Query, TransactWriteItems',
      'one event and a key, warm': 'GetItem, TransactWriteItems',
      'one event and an inline view, cold': 'Query, BatchGetItem, TransactWriteItems',
      'one event and an inline view, warm': 'TransactWriteItems',
      'the same, and an index value changes, warm': 'TransactWriteItems',
    })
  })

  it('a change of an async view costs four requests, which many changes share', async () => {
    expect(await requests('following')).toMatchObject({
      'one change, one view': '2 × BatchGetItem, Query, TransactWriteItems',
      'the same change again': 'BatchGetItem',
      'one change, two views': '4 × BatchGetItem, 2 × Query, 2 × TransactWriteItems',
      '100 changes of 100 aggregates, one view': '102 × BatchGetItem, 100 × Query, 100 × TransactWriteItems',
      '99 changes of one aggregate, one view': '2 × BatchGetItem, 10 × Query, 10 × TransactWriteItems',
      'drain with nothing to do, warm': 'BatchGetItem, GetItem, 2 × UpdateItem, GetRecords',
    })
  })

  it('the page of the store shows the measured costs', async () => {
    const page = readFileSync(`${root}docs/reference/cost-on-dynamodb.md`, 'utf8')
    const all = [...(await costsOf('commands')), ...(await costsOf('reads')), ...(await costsOf('following'))]
    const measured = all.filter(({ what }) => isEmulator || !what.startsWith('drain'))
    const ours = page.slice(0, page.indexOf('## Occasional work'))
    const written = ours.split('\n').filter((line) => measured.some(({ what }) => line.startsWith(`| ${what} |`)))
    expect(written.map(counted)).toEqual(measured.map(lineOf).map(counted))
    for (const line of isEmulator ? example(measured) : []) expect(page).toContain(line)
  })
})

/** A month's bill as the page gives it, from the same costs. */
function example(costs: readonly Cost[]): readonly string[] {
  const dollars = (what: string) => {
    const cost = costs.find((one) => one.what === what)
    if (cost === undefined) throw new Error(`Nobody has measured '${what}'.`)
    return dollarsPerMillion(cost)
  }
  const commands = (what: string) => 0.2 * dollars(`${what}, cold`) + 0.8 * dollars(`${what}, warm`)
  const loads = 5 * dollars('load of a row of a view')
  const money = (value: number) => `$${(Math.round(value * 100 + 1e-6) / 100).toFixed(2)}`
  const [plain, inline, view] = [commands('one event'), commands('one event and an inline view'), dollars('one change, one view')]
  return [
    `| an async view | ${money(plain)} | ${money(view)} | ${money(loads)} | ${money(plain + view + loads)} |`,
    `| an inline view | ${money(inline)} | | ${money(loads)} | ${money(inline + loads)} |`,
  ]
}

/** Servers other than the emulator count units in their own ways, and have other streams; the requests are ours. */
const isEmulator = process.env.TEST_DYNAMODB_ENDPOINT === undefined

const counted = (line: string) => (isEmulator ? line : line.split('|').filter((_, i) => i === 1 || i === 2))
