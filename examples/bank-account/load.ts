import { setTimeout } from 'node:timers/promises'
import { money as number } from './print.ts'
import { openTeller, type Tally, WrongAnswer } from './teller.ts'

export interface LoadCommand {
  readonly url: string
  /** Commands per second, of all tellers together. */
  readonly rate: number
  readonly seconds: number
  readonly tellers: number
  readonly signal: AbortSignal
}

const reportMs = 1_000

/** Sends commands to a bank and checks its responses. Returns the exit code. */
export async function load({ url, rate, seconds, tellers, signal }: LoadCommand): Promise<number> {
  const tally: Tally = { commands: 0, answers: 0, transfers: 0, repeats: 0 }
  const wrong = new AbortController()
  const began = performance.now()
  const isOver = () => signal.aborted || wrong.signal.aborted || performance.now() - began > seconds * 1_000
  let turns = 0
  const work = async (nth: number) => {
    const teller = await openTeller({
      url,
      name: `${Date.now().toString(36)}-${process.pid}-${nth}`,
      tally,
      signal: wrong.signal,
    })
    while (!isOver()) {
      await setTimeout(Math.max(0, began + (turns++ * 1_000) / rate - performance.now()))
      await teller.turn()
    }
    await teller.checkAll()
  }
  const timer = setInterval(() => console.log(`  ${lineOf(tally)}`), reportMs)
  console.log(`${number(tellers)} tellers send ${number(rate)} commands per second to ${url} for ${number(seconds)} seconds …`)
  try {
    await Promise.all(
      Array.from({ length: tellers }, (_, nth) =>
        work(nth).catch((error: unknown) => {
          wrong.abort()
          throw error
        }),
      ),
    )
    console.log(`All right: ${lineOf(tally)}, not one wrong.`)
    return 0
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    console.error(`WRONG ANSWER after ${lineOf(tally)}\n  ${error.message}`)
    return 1
  } finally {
    clearInterval(timer)
  }
}

const lineOf = ({ commands, transfers, answers, repeats }: Tally): string =>
  `${number(commands)} commands, ${number(transfers)} transfers, ${number(answers)} responses of the view, ${number(repeats)} retried`
