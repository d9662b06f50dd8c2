import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { CommandOf, EnvelopeOf } from 'cqrs-es'
import type { OpenApiDocument } from 'cqrs-es/http'
import { openBank } from './app.ts'
import type { bankAccount } from './bank-account.ts'
import { listen } from './listen.ts'
import { choosePlace, type Place } from './place.ts'
import { clock, fields, heading, money, paint, say, table } from './print.ts'
import type { AccountView } from './views.ts'

type Command = CommandOf<typeof bankAccount>
type Event = EnvelopeOf<typeof bankAccount>

const account = '/account/acct-1'
const row = '/views/accounts/acct-1'
/** Number of entries that a long list shows. */
const shown = 8
let server: Awaited<ReturnType<typeof listen>> | undefined

try {
  const place = await choosePlace()
  server = await listen({ openStore: place.openStore, port: 0 })
  await story(place)
  await server.close()
  server = undefined
  server = await listen({ openStore: place.openStore, port: 0 })
  say(`\nThe server has stopped and started again. What follows comes from the ${place.kind.toLowerCase()}.`)
  await whatIsStored()
  await theDay()
  await rebuilt(place)
  await theApi()
  whatNext(place)
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  await server?.close()
}

async function story({ kind, name }: Place) {
  say(paint('bold', 'A bank account: commands in, events out'))
  say(`\n  Server  ${server?.url}\n  ${kind.padEnd(6)}  ${name}`)

  const before = await view()
  if (before !== undefined)
    say(
      `\nAn earlier run left ${before.owner}'s account with a balance of ${money(before.balance)} after ${before.sequence} events.\nThe story continues from there.`,
    )
  else await step('Ann opens an account.', { type: 'OpenAccount', data: { owner: 'ann' } })

  await step('Ann deposits 1,000.', { type: 'DepositMoney', data: { amount: 1_000 } })
  await step('She takes 200 from an ATM.', { type: 'WithdrawCash', data: { atmId: 'ATM-1', amount: 200 } })
  const check = freeCheck(before)
  await step('She pays the rent by check.', { type: 'WriteCheck', data: { check: `${check}`, amount: 600 } })

  const tooMuch = ((await view())?.balance ?? 0) + 1_000
  await step(
    'She writes another check, for more than she has. The account says no.',
    { type: 'WriteCheck', data: { check: `${check + 1}`, amount: tooMuch } },
    { expect: 422 },
  )
  await step(
    'She tries another ATM. This time the service behind it says no.',
    { type: 'WithdrawCash', data: { atmId: 'ATM-7', amount: 50 } },
    { expect: 422 },
  )

  const headers = { 'Idempotency-Key': randomUUID() }
  const deposit = { type: 'DepositMoney', data: { amount: 25 } } as const
  await step('She deposits 25, and her phone loses the answer …', deposit, { headers })
  await step('… so it sends the same command again, with the same idempotency key.', deposit, { headers })

  const seen = ((await view())?.sequence ?? 0) - 1
  await step(
    `A clerk who last looked at event ${seen} is too late.`,
    { type: 'DepositMoney', data: { amount: 5 } },
    { headers: { 'If-Match': `"${seen}"` }, expect: 412 },
  )
  await sendMoney()
}

/** Sends money. A process moves the transfer along, after the response. */
async function sendMoney() {
  say('\nShe sends 30 to Bob. A subscription takes the money from one account to the other.')
  if ((await request('/account/acct-bob')).status === 404) await post('/account/acct-bob/OpenAccount', { owner: 'bob' })
  const transfer = `/transfer/ann-${(await view())?.sequence}`
  await post(`${transfer}/RequestTransfer`, { from: 'acct-1', to: 'acct-bob', amount: 30 })
  let status = 'requested'
  for (let tries = 0; status !== 'completed' && tries < 1_200; tries++) {
    await setTimeout(50)
    status = (await request(transfer)).body.state.status
  }
  say(
    `  ${paint('green', `✓ ${status}`.padEnd(18))}acct-1 has ${money((await view())?.balance ?? 0)}  ${paint('dim', '(transfer)')}`,
  )
}

interface StepOptions {
  readonly headers?: Record<string, string>
  /** Expected status. Default 200. */
  readonly expect?: number
}

/** Sends a command and prints its outcome. */
async function step(sentence: string, command: Command, { headers = {}, expect = 200 }: StepOptions = {}) {
  say(`\n${sentence}`)
  say(`  ${paint('cyan', `→ ${command.type.padEnd(16)}`)}${fields(command.data)}`)
  const { status, body } = await post(`${account}/${command.type}`, command.data, headers)
  const line = (style: 'green' | 'red', mark: string, text: string, note: string) =>
    say(`  ${paint(style, mark.padEnd(18))}${text}  ${paint('dim', `(${note})`)}`)
  if (status === 200)
    for (const { type, data, sequence } of body.events as Event[])
      line('green', `✓ ${type}`, fields(data), body.replayed ? `event ${sequence} as before, nothing new` : `event ${sequence}`)
  else if (status === 422) line('red', '✗ refused', `${body.reason}: ${fields(body.details ?? {})}`, 'HTTP 422')
  else line('red', status === 412 ? '✗ too late' : '✗ not done', firstSentence(body.detail), `HTTP ${status}`)
  if (status !== expect) throw new Error(`the story needs the status ${expect}, but the answer was ${status}.`)
}

/** Prints the responses after the restart. */
async function whatIsStored() {
  const { owner, balance, ledger, checks, sequence } = (await view()) as AccountView
  heading('The view', `GET ${row}${ledger.length > shown ? `, its last ${shown} ledger entries` : ''}`)
  say(`  owner     ${owner}`)
  say(`  balance   ${money(balance)}`)
  say(`  checks    ${checks.length > shown ? '… ' : ''}${checks.slice(-shown).join(', ')}`)
  say()
  const entries = ledger.slice(-shown).map(({ at, entry, amount, balance }) => [clock(at), entry, money(amount), money(balance)])
  table(['time (UTC)', 'ledger', 'amount', 'balance'], entries, ['amount', 'balance'])

  const after = Math.max(0, sequence - shown)
  const source = `${account}/events${after === 0 ? '' : `?after=${after}`}`
  heading('The history', `GET ${source}`)
  const { body } = await request(source)
  const events = body.items as Event[]
  const rows = events.map(({ sequence, recordedAt, type, data }) => [`${sequence}`, clock(recordedAt), type, fields(data)])
  table(['event', 'time (UTC)', 'type', 'data'], rows, ['event'])
  say('\n  Each event knows what it came from, a request or another event:')
  const newest = [...events].reverse()
  for (const key of ['uri', 'causationId']) say(`  ${fields(newest.find(({ metadata }) => key in metadata)?.metadata ?? {})}`)
}

/** Prints an async view, which the command waits for. */
async function theDay() {
  const path = `/views/days/${new Date().toISOString().slice(0, 10)}`
  await post('/account/acct-bob/DepositMoney', { amount: 1 }, { Prefer: 'wait=10' })
  heading('The day, behind the events', `GET ${path}, after a command with 'Prefer: wait=10'`)
  say(`  ${fields((await request(path)).body.view)}`)
}

/** Rebuilds all rows while the server runs. */
async function rebuilt({ openStore }: Place) {
  heading('The view, rebuilt from the events', `app.views.accounts.rebuild()`)
  const before = await view()
  const { app, close } = await openBank(openStore)
  await app.views.accounts.rebuild({
    onProgress: ({ events, done }) => say(`  ${events === 0 ? '' : `${money(events)} events, `}${done ? 'done' : '…'}`),
  })
  await close()
  say(`  The balance was ${money(before?.balance ?? 0)} and is ${money((await view())?.balance ?? 0)}.`)
}

/** Prints where the API is described, for programs and for people. */
async function theApi() {
  heading('The API, described', `${server?.url}/docs`)
  const { info, paths } = (await request('/openapi.json')).body as OpenApiDocument
  const operations = Object.values(paths).flatMap((path) => Object.keys(path).filter((key) => key === 'get' || key === 'post'))
  say(`  ${info.title}: ${operations.length} operations, says GET /openapi.json`)
}

function whatNext({ name, env, look }: Place) {
  heading('All of it is in', name)
  if (env === undefined) return
  say(`  ${env}npm run demo   continues with this balance`)
  say(`  ${env}npm start      serves the same accounts, with that page and curl lines to try`)
  if (look !== undefined) say(`  ${look}`)
}

async function view(): Promise<AccountView | undefined> {
  const { status, body } = await request(row)
  return status === 404 ? undefined : body.view
}

function post(path: string, data: object, headers: Record<string, string> = {}) {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(data) }
  return request(path, init)
}

async function request(path: string, init?: RequestInit) {
  const response = await fetch(`${server?.url}${path}`, init)
  if (response.status >= 500) throw new Error(`${init?.method ?? 'GET'} ${path} was answered with ${await response.text()}`)
  return { status: response.status, body: await response.json() }
}

function freeCheck(account: AccountView | undefined): number {
  let check = 1170
  while (account?.checks.includes(`${check}`)) check++
  return check
}

function firstSentence(text: string): string {
  return text.split(/(?<=\.)\s/)[0] ?? text
}
