import { setTimeout } from 'node:timers/promises'
import { type Client, clientOf } from './client.ts'
import type { AccountView } from './views.ts'

/** Counts of all tellers. */
export interface Tally {
  commands: number
  transfers: number
  answers: number
  /** Responses with 503, after which the request is sent again. */
  repeats: number
}

/** A row of the view contradicts an acknowledged command. */
export class WrongAnswer extends Error {}

/** Expected state of an account. Only its teller sends commands to it. */
interface Known {
  readonly balance: number
  readonly sequence: number
  readonly entries: number
}

/** Entries that the view keeps. */
const ledgerLength = 100

/** After half a minute a transfer counts as lost. */
const transferMs = 30_000

/** Opens two accounts of one owner, for commands and checks. */
export async function openTeller(options: { url: string; name: string; tally: Tally; signal: AbortSignal }) {
  const { name, tally } = options
  const client: Client = clientOf(options)
  const ids = [`${name}-a`, `${name}-b`] as const
  const known = new Map<string, Known>()
  for (const id of ids) {
    const { sequence } = await client.command(`/account/${id}/OpenAccount`, { owner: name })
    known.set(id, { balance: 0, sequence, entries: 0 })
  }
  let turns = 0

  const knownOf = (id: string): Known => known.get(id) ?? { balance: 0, sequence: 0, entries: 0 }

  /** Deposits, and checks the account meanwhile (then both states are right) and afterwards. */
  async function deposit(id: string): Promise<void> {
    const before = knownOf(id)
    const amount = 1 + (turns % 9)
    const after = moved(before, amount)
    const underWay = client.command(`/account/${id}/DepositMoney`, { amount })
    await check(id, [before, after])
    const { sequence } = await underWay
    if (sequence !== after.sequence)
      throw new WrongAnswer(`${id}: a command was acknowledged as event ${sequence}, not ${after.sequence}`)
    known.set(id, after)
    tally.commands++
    await check(id, [after])
  }

  /** Sends one unit from one account to the other, and waits until it arrives. */
  async function transfer(from: string, to: string): Promise<void> {
    const id = `${name}-t${turns}`
    await client.command(`/transfer/${id}/RequestTransfer`, { from, to, amount: 1 })
    for (let waited = 0; (await client.get(`/transfer/${id}`)).state?.status !== 'completed'; waited += 50) {
      if (waited > transferMs) throw new WrongAnswer(`${id}: the transfer was accepted, and did not come to its end`)
      await setTimeout(50)
    }
    known.set(from, moved(knownOf(from), -1))
    known.set(to, moved(knownOf(to), 1))
    tally.transfers++
    await checkAll()
  }

  async function check(id: string, allowed: readonly Known[]): Promise<void> {
    const said = JSON.stringify(shown(await client.get(`/views/accounts/${id}`)))
    tally.answers++
    const expected = allowed.map((known) => JSON.stringify(rowOf(id, known)))
    if (expected.includes(said)) return
    throw new WrongAnswer(`GET /views/accounts/${id} said ${said}, and it must be ${expected.join(' or ')}`)
  }

  /** Checks both accounts, and the rows found by owner. */
  async function checkAll(): Promise<void> {
    for (const id of ids) await check(id, [knownOf(id)])
    const { items } = await client.get(`/views/accounts?owner=${name}`)
    tally.answers++
    const said = JSON.stringify(Array.isArray(items) ? items.map(shown) : items)
    const expected = JSON.stringify(ids.map((id) => rowOf(id, knownOf(id))))
    if (said === expected) return
    throw new WrongAnswer(`GET /views/accounts?owner=${name} said ${said}, and it must be ${expected}`)
  }

  /** The expected row, in the form of `shown`. */
  const rowOf = (id: string, { balance, sequence, entries }: Known) => ({
    id,
    owner: name,
    balance,
    sequence,
    entries: Math.min(entries, ledgerLength),
  })

  return {
    async turn() {
      turns++
      const [from, to] = turns % 20 === 0 ? ids : [ids[1], ids[0]]
      if (turns % 10 === 0 && knownOf(from).balance > 0) await transfer(from, to)
      else await deposit(ids[turns % 2] as string)
    },
    checkAll,
  }
}

/** A row of the view, as far as the response has one. */
type Row = { readonly id?: string; readonly view?: Partial<AccountView> } | undefined

/** The checked parts of a row. */
const shown = (row: Row) => ({
  id: row?.id,
  owner: row?.view?.owner,
  balance: row?.view?.balance,
  sequence: row?.view?.sequence,
  entries: row?.view?.ledger?.length,
})

const moved = ({ balance, sequence, entries }: Known, amount: number): Known => ({
  balance: balance + amount,
  sequence: sequence + 1,
  entries: entries + 1,
})
