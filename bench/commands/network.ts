import pg from 'pg'
import { endProgram, startProgram } from '../../test/servers/child.ts'
import { figure } from '../report.ts'
import { rustProxy } from './peers.ts'

/** A network between the systems and a server: a proxy that all systems are given as its address. */
export interface Network {
  /** The same address, through the proxy. */
  through(url: string): string
  /** Median milliseconds of `SELECT 1` directly, and through the proxy. */
  readonly measured: { readonly direct: number; readonly through: number }
  stop(): Promise<void>
}

/** Starts a network of this round trip in front of a Postgres. */
export async function startNetwork(url: string, milliseconds: number): Promise<Network | { readonly missing: string }> {
  const proxy = await rustProxy()
  if ('missing' in proxy) return { missing: `there is no network: ${proxy.missing}` }
  let port = ''
  const child = await startProgram(proxy.file, [new URL(url).host, String(milliseconds)], {}, (output) => {
    port = /^\d+(?=\n)/.exec(output)?.[0] ?? ''
    return port !== ''
  })
  const through = (to: string) => Object.assign(new URL(to), { port }).href
  return {
    through,
    measured: { direct: await roundTrip(url), through: await roundTrip(through(url)) },
    stop: () => endProgram(child, 'SIGKILL'),
  }
}

async function roundTrip(url: string): Promise<number> {
  const client = new pg.Client(url)
  await client.connect()
  const taken: number[] = []
  for (let i = 0; i < 200; i++) {
    const began = performance.now()
    await client.query('SELECT 1')
    taken.push(performance.now() - began)
  }
  await client.end()
  return figure(taken).median
}
