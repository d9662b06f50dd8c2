import { createServer, connect as dial, type Socket } from 'node:net'

/**
 * Fates of a connection when a request that the test targets passes.
 * - `request`: a part of the request passes, then both ends are cut.
 * - `sent`: the whole request passes, then both ends are cut.
 * - `answer`: the whole request and a part of the response pass, then both ends are cut.
 * - `held`: the client is cut at once. The request passes only later, when the client has long sent
 *   it again.
 * - `stalled`: nothing happens until the client gives up. The request passes after that, or before
 *   if the client has more patience.
 */
export const fates = ['request', 'sent', 'answer', 'held', 'stalled'] as const

export type Fate = (typeof fates)[number]

export interface ProxyOptions {
  /** Port of the server, on 127.0.0.1. */
  readonly to: number
  /** Numbers from 0 to below 1, the only source of randomness here. */
  readonly random: () => number
  /** Whether bytes that a client just sent are, or start, a targeted request. */
  readonly isTarget: (sent: Buffer) => boolean
  /** Fate of such a request; `undefined` lets it pass. */
  readonly fate: () => Fate | undefined
  /**
   * Share of connections that are cut after random bytes in either direction: in a handshake, in a
   * read.
   */
  readonly strays: number
  /** A held request passes within this time; a stalled one after it, and within twice this time. */
  readonly holdMs: number
}

export interface CuttingProxy {
  readonly port: number
  /** Connections cut so far: by the fate of their request, and `stray`. */
  readonly cuts: ReadonlyMap<Fate | 'stray', number>
  /** Lets everything pass from now on. */
  calm(): void
  /**
   * Resolves when no request is held and the server has closed every cut connection: nothing can be
   * stored any more.
   */
  settled(): Promise<void>
  close(): Promise<void>
}

/** A TCP proxy in front of a server that cuts connections at the worst moments. */
export async function startProxy({ to, random, isTarget, fate, strays, holdMs }: ProxyOptions): Promise<CuttingProxy> {
  const cuts = new Map<Fate | 'stray', number>()
  const clients = new Set<Socket>()
  /** The server's ends of cut connections. */
  const leftovers = new Set<Socket>()
  let calm = false

  const listener = createServer((client) => {
    const server = dial(to, '127.0.0.1')
    clients.add(client)
    // Bytes that still pass, in each direction, on a connection that is cut in any case.
    const stray = random() < strays && { up: upTo(4_000), down: upTo(4_000) }
    let held: Buffer[] | undefined
    let cutsAnswer = false
    let isCut = false

    const count = (why: Fate | 'stray') => cuts.set(why, (cuts.get(why) ?? 0) + 1)
    const cut = (why: Fate | 'stray') => {
      if (isCut) return
      isCut = true
      count(why)
      // The client sees either the end of the connection or a reset.
      if (random() < 0.5) client.destroy()
      else client.resetAndDestroy()
      leave()
    }
    /**
     * The server may process what it has received; it sees the end of the connection after that.
     */
    const leave = () => {
      if (server.destroyed) return
      leftovers.add(server)
      server.removeAllListeners('data')
      server.resume()
      if (held === undefined) server.end()
    }
    const hold = (sent: Buffer, why: 'held' | 'stalled') => {
      held = [sent]
      if (why === 'held') cut(why)
      const letThrough = () => {
        const all = Buffer.concat(held ?? [])
        held = undefined
        if (isCut) server.end(all)
        else server.write(all)
      }
      setTimeout(letThrough, why === 'held' ? upTo(holdMs) : holdMs + upTo(holdMs))
    }

    client.on('data', (sent: Buffer) => {
      if (held !== undefined) held.push(sent)
      if (held !== undefined || isCut) return
      if (!calm && stray) {
        stray.up -= sent.length
        if (stray.up < 0) {
          server.write(sent.subarray(0, sent.length + stray.up))
          return cut('stray')
        }
      }
      const what = !calm && isTarget(sent) ? fate() : undefined
      if (what === 'held' || what === 'stalled') return hold(sent, what)
      if (what === 'request') {
        server.write(sent.subarray(0, upTo(sent.length - 1)))
        return cut(what)
      }
      server.write(sent)
      if (what === 'sent') cut(what)
      if (what === 'answer') cutsAnswer = true
    })
    server.on('data', (answer: Buffer) => {
      if (stray) stray.down -= answer.length
      const isStray = !calm && stray && stray.down < 0
      if (!cutsAnswer && !isStray) {
        client.write(answer)
        return
      }
      server.pause()
      client.write(answer.subarray(0, upTo(answer.length)), () => cut(cutsAnswer ? 'answer' : 'stray'))
    })
    client.on('error', () => client.destroy())
    client.on('close', () => {
      clients.delete(client)
      if (isCut) return
      isCut = true
      if (held !== undefined) count('stalled')
      leave()
    })
    server.on('error', () => server.destroy())
    server.on('close', () => {
      leftovers.delete(server)
      client.end()
    })

    function upTo(most: number): number {
      return Math.floor(random() * (most + 1))
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()

  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cuts,
    calm() {
      calm = true
    },
    async settled() {
      while (leftovers.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    async close() {
      for (const client of clients) client.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
