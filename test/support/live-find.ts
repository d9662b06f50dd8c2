import type { ViewChange, ViewRow } from 'cqrs-es'
import type { TicketApp } from './tickets.ts'

interface Ticket {
  readonly owner: string
  readonly points: number
}
type Where = Parameters<TicketApp['views']['tickets']['find']>[0]

/** All rows of `find`, by id. */
export async function foundIn(app: TicketApp, where: Where): Promise<Map<string, ViewRow<Ticket>>> {
  const rows = new Map<string, ViewRow<Ticket>>()
  for (let after: string | undefined; ; ) {
    const page = await app.views.tickets.find(where, { limit: 3, after })
    for (const row of page.items) rows.set(row.id, row)
    if (page.next === undefined) return rows
    after = page.next
  }
}

/** Rows kept up to date by `find` and `changes` alone. */
export class LiveFind {
  rows = new Map<string, ViewRow<Ticket>>()
  readonly #app: TicketApp
  readonly #where: Where
  /** Reported versions since the rows were found. */
  readonly #reported = new Map<string, number>()
  #changes: AsyncIterator<ViewChange<Ticket>>
  #cursor: string | undefined

  private constructor(app: TicketApp, where: Where) {
    this.#app = app
    this.#where = where
    this.#changes = app.views.tickets.changes({ where })[Symbol.asyncIterator]()
  }

  static async open(app: TicketApp, where: Where): Promise<LiveFind> {
    const live = new LiveFind(app, where)
    live.rows = await foundIn(app, where)
    return live
  }

  /** Applies the next report. */
  async next(): Promise<ViewChange<Ticket>> {
    const { done, value: change } = await this.#changes.next()
    if (done === true) throw new Error('The iteration ended.')
    this.#cursor = change.cursor
    if (change.kind === 'reload') {
      this.rows = await foundIn(this.#app, this.#where)
      this.#reported.clear()
    } else if (change.kind === 'gone') this.rows.delete(change.id)
    else {
      const { id, view, version } = change
      if (version < (this.#reported.get(id) ?? 0)) throw new Error(`The version of ${id} went back to ${version}.`)
      this.#reported.set(id, version)
      this.rows.set(id, { id, view, version })
    }
    return change
  }

  /** Ends the iteration, and starts another one after the last report. */
  async reconnect(): Promise<void> {
    if (this.#cursor === undefined) return
    await this.#changes.return?.()
    this.#changes = this.#app.views.tickets.changes({ where: this.#where, after: this.#cursor })[Symbol.asyncIterator]()
    this.#reported.clear()
  }

  async close(): Promise<void> {
    await this.#changes.return?.()
  }
}
