import { setTimeout } from 'node:timers/promises'
import { type Client, clientOf } from './client.ts'

/** What has been done so far, of all tellers. */
export interface Tally {
  commands: number
  transfers: number
  answers: number
  /** Answers of 503, after which the request is sent again. */
  repeats: number
}

/** The view said something else than what had been acknowledged. */
export class WrongAnswer extends Error {}

/** What an account must say: nobody but its teller sends commands to it. */
interface Known {
  readonly balance: number
  readonly sequence: number
  readonly entries: number
}

/** Half a minute, then a transfer counts as lost. */
const transferMs = 30_000

/** Opens two accounts of one owner, to send commands to and to look at. */
export async function openTeller(options: { url: string; name: string; tally: Tally; signal: AbortSignal }) {
  const { name, tally } = options
  const client: Client = clientOf(options)
  const ids = [`${name}-a`, `${name}-b`] as const
  const known = new Map<string, Known>()
  for (const id of ids) {
    const { sequence } = await client.command(`/account/${id}`, { type: 'OpenAccount', data: { owner: name } })
    known.set(id, { balance: 0, sequence, entries: 0 })
  }
  let turns = 0

  const knownOf = (id: string): Known => known.get(id) ?? { balance: 0, sequence: 0, entries: 0 }

  /** Deposits, and looks at the account at the same time (then it may say the one or the other) and afterwards. */
  async function deposit(id: string): Promise<void> {
    const before = knownOf(id)
    const amount = 1 + (turns % 9)
    const after = moved(before, amount)
    const underWay = client.command(`/account/${id}`, { type: 'DepositMoney', data: { amount } })
    await check(id, [before, after])
    const { sequence } = await underWay
    if (sequence !== after.sequence)
      throw new WrongAnswer(`${id}: a command was acknowledged as event ${sequence}, not ${after.sequence}`)
    known.set(id, after)
    tally.commands++
    await check(id, [after])
  }

  /** Sends one unit from one of the accounts to the other, and waits until it is there. */
  async function transfer(from: string, to: string): Promise<void> {
    const id = `${name}-t${turns}`
    await client.command(`/transfer/${id}`, { type: 'RequestTransfer', data: { from, to, amount: 1 } })
    for (let waited = 0; (await client.get(`/transfer/${id}`)).status !== 'completed'; waited += 50) {
      if (waited > transferMs) throw new WrongAnswer(`${id}: the transfer was accepted, and did not come to its end`)
      await setTimeout(50)
    }
    known.set(from, moved(knownOf(from), -1))
    known.set(to, moved(knownOf(to), 1))
    tally.transfers++
    await checkAll()
  }

  async function check(id: string, allowed: readonly Known[]): Promise<void> {
    const { balance, sequence, ledger } = await client.get(`/account/${id}`)
    tally.answers++
    const isRight = allowed.some(
      (one) => one.balance === balance && one.sequence === sequence && Math.min(one.entries, 100) === ledger?.length,
    )
    if (isRight) return
    const said = JSON.stringify({ balance, sequence, entries: ledger?.length })
    throw new WrongAnswer(
      `GET /account/${id} said ${said}, and it must be ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`,
    )
  }

  /** Both accounts, and what is found by their owner. */
  async function checkAll(): Promise<void> {
    for (const id of ids) await check(id, [knownOf(id)])
    const { items } = await client.get(`/accounts?owner=${name}`)
    tally.answers++
    const expected = ids.map((id) => ({ id, owner: name, balance: knownOf(id).balance }))
    if (JSON.stringify(items) === JSON.stringify(expected)) return
    throw new WrongAnswer(`GET /accounts?owner=${name} said ${JSON.stringify(items)}, and it must be ${JSON.stringify(expected)}`)
  }

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

const moved = ({ balance, sequence, entries }: Known, amount: number): Known => ({
  balance: balance + amount,
  sequence: sequence + 1,
  entries: entries + 1,
})
