import { randomUUID } from 'node:crypto'
import type { CommandOf, EnvelopeOf } from 'cqrs-es'
import type { bankAccount } from './bank-account.ts'
import { listen } from './listen.ts'
import { choosePlace, type Place } from './place.ts'
import { clock, fields, heading, money, paint, say, table } from './print.ts'
import type { AccountView } from './views.ts'

type Command = CommandOf<typeof bankAccount>
type Event = EnvelopeOf<typeof bankAccount>

const account = '/account/acct-1'
/** How much of a long list is printed. */
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
  whatNext(place)
} catch (error) {
  console.error(`\nThe demo could not go on: ${error instanceof Error ? error.message : error}`)
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
      `\nAn earlier run left ${before.owner}'s account with a balance of ${money(before.balance)} after ${before.sequence} events.\nThe story goes on from there.`,
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
    { headers: { 'If-Match': `"${seen}"` }, expect: 409 },
  )
}

interface StepOptions {
  readonly headers?: Record<string, string>
  /** The status that the story needs. */
  readonly expect?: number
}

/** Sends a command and shows what came of it. */
async function step(sentence: string, command: Command, { headers = {}, expect = 200 }: StepOptions = {}) {
  say(`\n${sentence}`)
  say(`  ${paint('cyan', `→ ${command.type.padEnd(16)}`)}${fields(command.data)}`)
  const { status, body } = await request(account, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(command),
  })
  const line = (style: 'green' | 'red', mark: string, text: string, note: string) =>
    say(`  ${paint(style, mark.padEnd(18))}${text}  ${paint('dim', `(${note})`)}`)
  if (status === 200)
    for (const { type, data, sequence } of body.events as Event[])
      line('green', `✓ ${type}`, fields(data), body.replayed ? `event ${sequence} as before, nothing new` : `event ${sequence}`)
  else if (status === 422) line('red', '✗ refused', `${body.reason}: ${fields(body.details ?? {})}`, 'HTTP 422')
  else line('red', `✗ ${body.title.toLowerCase()}`, firstSentence(body.detail), `HTTP ${status}`)
  if (status !== expect) throw new Error(`the story needs the status ${expect}, but the answer was ${status}.`)
}

/** What the server says after the restart. */
async function whatIsStored() {
  const { owner, balance, ledger, checks, sequence } = (await view()) as AccountView
  heading('The view', `GET ${account}${ledger.length > shown ? `, its last ${shown} ledger entries` : ''}`)
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
  say('\n  Each event knows the request it came from. The last one:')
  say(`  ${fields(events.at(-1)?.metadata ?? {})}`)
}

function whatNext({ name, env, look }: Place) {
  heading('All of it is in', name)
  if (env === undefined) return
  say(`  ${env}npm run demo   goes on from this balance`)
  say(`  ${env}npm start      serves the same accounts and prints curl lines to try`)
  if (look !== undefined) say(`  ${look}`)
}

async function view(): Promise<AccountView | undefined> {
  const { status, body } = await request(account)
  return status === 404 ? undefined : body
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
