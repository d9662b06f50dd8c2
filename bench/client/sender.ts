import { createApp } from 'cqrs-es'
import { account, deposit, open } from '../bank.ts'
import { type QuickStore, quickStores } from './quick-stores.ts'

const accounts = 1_000

/**
 * Sends this many warm commands: each caller one after another, to account after account.
 *
 * The program imports the package by its name only, so in the folder of another commit it measures
 * that one.
 */
export async function sender(store: QuickStore, callers: number): Promise<(commands: number) => Promise<void>> {
  const bank = createApp({ store: await quickStores[store](), aggregates: { account } }).aggregates.account
  const ids = Array.from({ length: accounts }, (_, i) => `account-${i}`)
  for (const id of ids) await bank.execute(id, open)
  return async (commands) => {
    let next = 0
    const caller = async () => {
      while (next < commands) {
        const { ok } = await bank.execute(ids[next++ % accounts] as string, deposit(1))
        if (!ok) throw new Error('A deposit was refused.')
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }
}
