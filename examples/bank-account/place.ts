import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dynamodb, mysql, type OpenStore, postgres, sqlite } from './stores.ts'
import { throwAway } from './throw-away.ts'

/** Where the bank keeps its events. */
export interface Place {
  readonly openStore: OpenStore
  /** Label in a list. */
  readonly kind: string
  readonly name: string
  /**
   * Text to type before `npm start` to open this place again. `undefined` if it ends with this
   * process.
   */
  readonly env: string | undefined
  /** A command that shows the stored events, where there is a short one. */
  readonly look?: string
}

/** `existing`: a place that another process uses, so not a private server. */
type Which = 'any' | 'existing'
type Make = (which: Which) => Promise<Place>

/** By the value of `STORE`. */
const places: Readonly<Record<string, Make>> = {
  sqlite: async () => {
    const file = resolve(process.env.BANK_FILE || fileURLToPath(new URL('../../data/bank.db', import.meta.url)))
    const env = process.env.BANK_FILE ? `BANK_FILE=${process.env.BANK_FILE} ` : ''
    const look = `sqlite3 ${shortPath(file)} 'SELECT aggregate_id, sequence, event_type, payload FROM events'`
    return { openStore: sqlite(file), kind: 'File', name: shortPath(file), env, look }
  },
  postgres: (one) => onServer(one, 'postgres', 'POSTGRES_URL', postgres),
  mysql: (one) => onServer(one, 'mysql', 'MYSQL_URL', mysql),
  dynamodb: (one) => onServer(one, 'dynamodb', 'DYNAMODB_ENDPOINT', (url) => dynamodb(url === 'aws' ? undefined : url)),
}

/** The place that `STORE` names; a SQLite file by default. @throws Error that lists the names */
export async function choosePlace(which: Which = 'any', name = process.env.STORE || 'sqlite'): Promise<Place> {
  const make = Object.hasOwn(places, name) ? places[name] : undefined
  if (make === undefined) throw new Error(`STORE must be one of ${Object.keys(places).join(', ')}, not '${name}'.`)
  return make(which)
}

/** A server at the address in a variable, or else a private one that ends with this process. */
async function onServer(
  which: Which,
  store: 'postgres' | 'mysql' | 'dynamodb',
  variable: string,
  open: (url: string) => OpenStore,
): Promise<Place> {
  const given = process.env[variable]
  if (!given && which === 'existing') throw new Error(`${variable} must say where the bank is.`)
  const url = given || (await throwAway(store))
  const name = `${store} at ${url === 'aws' ? 'AWS' : new URL(url).host}${given ? '' : ` (private, gone when this ends; ${variable} names another)`}`
  return { openStore: open(url), kind: 'Store', name, env: given ? `STORE=${store} ${variable}=${given} ` : undefined }
}

/** The path as typed from the current folder. */
function shortPath(file: string): string {
  const fromHere = relative('', file)
  return fromHere.startsWith(`..${sep}`) ? file : fromHere
}
