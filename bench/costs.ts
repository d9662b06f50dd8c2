/**
 * Costs on DynamoDB: requests, and the units they are charged for, next to the Rust crates. A proxy
 * in front of the emulator counts them, and asks with each request for its consumption. The
 * measured cases are in test/stores/dynamodb-costs.ts, because a test compares
 * docs/reference/cost-on-dynamodb.md with them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { startDynamoDb } from '../test/servers/dynamodb.ts'
import { type Cost, dollarsPerMillion, groupNames, lineOf, measureCosts, named, prices } from '../test/stores/dynamodb-costs.ts'
import { type Recorder, recordDynamoDb } from '../test/stores/dynamodb-recorder.ts'
import { dynamoDb } from '../test/stores/dynamodb-tables.ts'
import { type Program, rustPeerOnDynamoDb } from './commands/peers.ts'
import { writeResults } from './report.ts'

const server = await startDynamoDb()
const recorder = await recordDynamoDb(server.url)
const results: object[] = []
const show = (system: string, group: string, costs: readonly Cost[]) => {
  console.log(`\n${system}, ${group}\n`)
  for (const cost of costs) console.log(lineOf(cost))
  results.push(
    ...costs.map(({ what, requests, ...units }) => {
      const asked = { requests: requests.length, operations: named(requests), ...units }
      return { system, group, what, ...asked, dollarsPerMillion: dollarsPerMillion({ requests, ...units }) }
    }),
  )
}
for (const group of groupNames) show('cqrs-es', group, await measureCosts(recorder, group))
const peer = await rustPeerOnDynamoDb()
if ('missing' in peer) {
  console.log(`\ncqrs-es (Rust): missing, ${peer.missing}`)
  results.push({ system: 'cqrs-es (Rust)', missing: peer.missing })
} else show('cqrs-es (Rust)', 'comparable', await theCrate(recorder, peer))
await recorder.stop()
await server.stop()
await writeResults('costs', { prices }, results)
process.exit()

/** The crate on its own tables: a program that processes one line after another. */
async function theCrate({ url, take }: Recorder, { file }: Extract<Program, { file: string }>): Promise<Cost[]> {
  await createTables(url)
  const child = spawn(file, [url], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ask = asking(child)
  const asked = async (what: string, line: string): Promise<Cost> => {
    take()
    await ask(line)
    return { what, ...take() }
  }
  // Ids as long as in the other measurements: an item holds its id twice.
  const id = () => `account-${crypto.randomUUID()}`
  const withEvents = async (mode: string, events: number): Promise<string> => {
    const account = id()
    // The crate puts up to 25 actions into a transaction.
    for (let left = events; left > 0; left -= 20) await ask(`${mode} deposit ${account} ${Math.min(left, 20)}`)
    return account
  }
  const [account, saved, viewed] = [
    await withEvents('events', 10),
    await withEvents('snapshot', 10),
    await withEvents('view', 10),
  ]
  const costs = [
    await asked('load of 10 events', `events load ${account}`),
    await asked('a rejection', `events close ${account}`),
    await asked('one event', `events deposit ${account} 1`),
    await asked('one event and a snapshot', `snapshot deposit ${saved} 1`),
    await asked('one event and a view', `view deposit ${viewed} 1`),
    await asked('load of a row of a view', `view load ${viewed}`),
    await asked('ten events', `events deposit ${await withEvents('events', 10)} 10`),
    await asked('load of 1,000 events', `events load ${await withEvents('events', 1_000)}`),
    await asked('load of 1,000 events, a snapshot at each command', `snapshot load ${await withEvents('snapshot', 1_000)}`),
  ]
  child.kill()
  return costs
}

function asking(child: ChildProcess): (line: string) => Promise<void> {
  const answers = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  return (line) =>
    new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`The peer in Rust has ended at: ${line}`))
      child.once('exit', ended)
      answers.once('line', () => {
        child.off('exit', ended)
        resolve()
      })
      child.stdin?.write(`${line}\n`)
    })
}

/** Creates tables like the script of the crate. */
async function createTables(url: string): Promise<void> {
  const client = dynamoDb(url)
  const table = (TableName: string, hash: string, range?: string) =>
    client.createTable({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [
        { AttributeName: hash, KeyType: 'HASH' },
        ...(range === undefined ? [] : [{ AttributeName: range, KeyType: 'RANGE' as const }]),
      ],
      AttributeDefinitions: [
        { AttributeName: hash, AttributeType: 'S' },
        ...(range === undefined ? [] : [{ AttributeName: range, AttributeType: 'N' as const }]),
      ],
    })
  await table('Events', 'AggregateTypeAndId', 'AggregateIdSequence')
  await table('Snapshots', 'AggregateTypeAndId')
  await table('Balances', 'ViewId')
}
