import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the bank keeps its events: `BANK_FILE`, or `data/bank.db` of the repository. */
export const dataFile = resolve(process.env.BANK_FILE || fileURLToPath(new URL('../../data/bank.db', import.meta.url)))

/** As one would type it from here. */
export function shortPath(file: string): string {
  const fromHere = relative('', file)
  return fromHere.startsWith(`..${sep}`) ? file : fromHere
}
