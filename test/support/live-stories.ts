import type { Store } from 'cqrs-es'
import { foundIn, LiveFind } from './live-find.ts'
import { randomOf } from './random.ts'
import { drop, give, see, type TicketApp, ticketApp } from './tickets.ts'

interface Story {
  readonly connect: () => Promise<Store>
  readonly consistency: 'inline' | 'async'
  readonly seed: number
  readonly commands: number
  /** Also rebuilds the view meanwhile. */
  readonly rebuilds?: boolean
}

/**
 * Rows that `find` and `changes` kept current while two processes wrote, and the rows of `find` at
 * the end.
 */
export async function liveStory({ connect, consistency, seed, commands, rebuilds = true }: Story) {
  const random = randomOf(seed)
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  const apps: TicketApp[] = []
  const join = async () => {
    const app = ticketApp(await connect(), { consistency })
    apps.push(app)
    return app
  }
  const [reader, writer] = [await join(), await join()]
  if (consistency === 'async') await pick([reader, writer]).start()
  const wheres = [{}, { owner: 'ann' }, { points: { gte: 3, lt: 8 } }]
  const write = async (app: TicketApp) => {
    for (let i = 0; i < commands; i++) {
      const id = `t-${Math.floor(random() * 8)}`
      const command = pick([give(pick(['ann', 'bob']), Math.floor(random() * 10)), give('ann', 4), drop, see])
      await app.aggregates.ticket.execute(id, command)
      if (random() < 0.1) await new Promise((resolve) => setTimeout(resolve, random() * 8))
    }
  }
  const listen = async (where: (typeof wheres)[number]) => {
    const live = await LiveFind.open(reader, where)
    const isSlow = random() < 0.5
    for (;;) {
      const change = await live.next()
      if (change.kind !== 'reload' && change.id === 'end') break
      if (change.kind === 'reload' && live.rows.has('end')) break
      if (isSlow) await new Promise((resolve) => setTimeout(resolve, random() * 2))
      if (random() < 0.05) await live.reconnect()
    }
    await live.close()
    return { kept: live.rows, found: await foundIn(reader, where) }
  }
  try {
    const writers = [reader, writer].map(write)
    const listening = wheres.map(listen)
    for (const one of listening) one.catch(() => {})
    if (rebuilds) await pick([reader, writer]).views.tickets.rebuild()
    await Promise.all(writers)
    // Meets every `where`, as the last event.
    await writer.aggregates.ticket.execute('end', give('ann', 5))
    return await Promise.all(listening)
  } finally {
    await Promise.all(apps.map((app) => app.close()))
  }
}
