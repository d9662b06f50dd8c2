/**
 * What `cqrs-es/http` adds to a command: microseconds per command for `execute` alone, for a handler that is given a `Request` as a server makes it and returns its `Response`, and for a
 * route written by hand that does nothing but read the body, execute and make a `Response`. One caller, memory store, warm; the ways take turns.
 */
import { createApp } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { account, open } from './bank.ts'
import { figure, short, shown, writeResults } from './report.ts'

const rounds = 9
const commands = 5_000

const app = createApp({ store: memoryStore(), aggregates: { account } })
const handler = createHandler(app, {
  authorize: (request) => ({ ok: true, caller: request.headers.get('Authorization') }),
  metadata: (_, userId) => ({ userId }),
})
const body = JSON.stringify({ amount: 1 })
const headers = { 'Content-Type': 'application/json', 'Content-Length': `${body.length}`, Authorization: 'Bearer ann' }
const request = (id: string) => new Request(`http://localhost/account/${id}/DepositMoney`, { method: 'POST', headers, body })

const ways: Readonly<Record<string, (id: string, request: Request) => Promise<unknown>>> = {
  execute: (id) =>
    app.aggregates.account.execute(id, { type: 'DepositMoney', data: { amount: 1 } }, { metadata: { userId: 'Bearer ann' } }),
  handler: async (_, request) => {
    const response = await handler(request)
    if (response.status !== 200) throw new Error(await response.text())
  },
  'by hand': async (id, request) => {
    const data = JSON.parse(new TextDecoder().decode(await request.arrayBuffer()))
    const metadata = { userId: request.headers.get('Authorization') }
    const { signal } = request
    const result = await app.aggregates.account.execute(id, { type: 'DepositMoney', data }, { metadata, signal })
    if (!result.ok) throw new Error(result.reason)
    const { sequence, events, state } = result
    const headers = { 'Content-Type': 'application/json', ETag: `"${sequence}"` }
    return new Response(JSON.stringify({ sequence, events, state }), { headers })
  },
}

const times = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]))
for (let round = -2; round < rounds; round++) {
  const order = Object.entries(ways)
  for (const [name, way] of round % 2 === 0 ? order : order.reverse()) {
    const id = `${name.replace(' ', '-')}-${round}`
    await app.aggregates.account.execute(id, open)
    const requests = Array.from({ length: commands }, () => request(id))
    const began = process.hrtime.bigint()
    for (const one of requests) await way(id, one)
    const micros = Number(process.hrtime.bigint() - began) / 1_000 / commands
    // The first rounds only warm up.
    if (round >= 0) times.get(name)?.push(micros)
  }
}
await app.close()

const of = (name: string) => times.get(name) as number[]
const added = (name: string) => figure(of(name).map((micros, i) => micros - (of('execute')[i] as number)))
const [ours, byHand] = [added('handler'), added('by hand')]
console.table(Object.fromEntries(Object.keys(ways).map((name) => [name, { 'µs per command (range)': shown(figure(of(name))) }])))
console.log(`The handler adds ${shown(ours)} µs to execute, a route by hand ${shown(byHand)} µs. Goal: below 50.`)
const results = Object.keys(ways).map((name) => ({ way: name, micros: figure(of(name)) }))
const sums = { added: short(ours.median), addedByHand: short(byHand.median) }
await writeResults('http', { rounds, commands, store: 'memory' }, results, sums)
