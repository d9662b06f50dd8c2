/**
 * Cost that `cqrs-es/http` adds to a command, in microseconds: `execute` alone, a handler from
 * `Request` to `Response`, and a route by hand that only reads the body, executes and creates a
 * `Response`. One caller, memory store, warm; the ways take turns.
 *
 * Then the same on a port with Node's adapter, whose `Request` has other costs, with requests from
 * another process. The result is the processor time of the server per command, next to a server
 * that only reads the body.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createApp } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { account, open } from './bank.ts'
import type { Sending } from './http-client.ts'
import { figure, short, shown, writeResults } from './report.ts'

const rounds = Number(process.env.ROUNDS ?? 9)
const commands = Math.round(Number(process.env.SECONDS ?? 1) * 5_000)
const callers = 8

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
    // The first rounds are warm-up.
    if (round >= 0) times.get(name)?.push(micros)
  }
}

/** Functions that the adapter serves. */
const servers: Readonly<Record<string, (request: Request) => Promise<Response>>> = {
  nothing: async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`),
  handler,
  'by hand': (request) =>
    (ways['by hand'] as (typeof ways)[string])(request.url.split('/')[4] as string, request) as Promise<Response>,
}
const openAccount = (id: string) => app.aggregates.account.execute(id, open)
const busy = new Map<string, number[]>(Object.keys(servers).map((name) => [name, []]))
const client = fork(new URL('http-client.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
client.once('exit', (code) => code !== 0 && process.exit(1))
for (let round = -2; round < rounds; round++) {
  const order = Object.entries(servers)
  for (const [name, fetch] of round % 2 === 0 ? order : order.reverse()) {
    const server = createAdaptorServer({ fetch }) as Server
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const account = `behind-${name.replace(' ', '-')}-${round}`
    await Promise.all(Array.from({ length: callers }, (_, caller) => openAccount(`${account}-${caller}`)))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/account/${account}`
    const before = process.cpuUsage()
    client.send({ url, callers, commands: commands / callers } satisfies Sending)
    await once(client, 'message')
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) busy.get(name)?.push((user + system) / commands)
    server.closeAllConnections()
    server.close()
  }
}
client.disconnect()
await app.close()

const of = (name: string) => times.get(name) as number[]
const added = (name: string) => figure(of(name).map((micros, i) => micros - (of('execute')[i] as number)))
const [ours, byHand] = [added('handler'), added('by hand')]
console.table(Object.fromEntries(Object.keys(ways).map((name) => [name, { 'µs per command (range)': shown(figure(of(name))) }])))
console.log(`The handler adds ${shown(ours)} µs to execute, a route by hand ${shown(byHand)} µs. Goal: below 50.`)
const behind = (name: string) => figure(busy.get(name) as number[])
console.table(
  Object.fromEntries(
    Object.keys(servers).map((name) => [name, { 'µs of processor time, behind the adapter (range)': shown(behind(name)) }]),
  ),
)
const results = Object.keys(ways).map((name) => ({ way: name, micros: figure(of(name)) }))
const behindAdapter = Object.keys(servers).map((name) => ({ way: name, micros: behind(name) }))
const sums = { added: short(ours.median), addedByHand: short(byHand.median) }
await writeResults('http', { rounds, commands, callers, store: 'memory' }, results, { ...sums, behindAdapter })
