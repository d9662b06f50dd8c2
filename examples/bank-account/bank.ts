import { parseArgs } from 'node:util'
import { load } from './load.ts'
import { rebuild } from './rebuild.ts'

const usage = `npm run bank -- rebuild [--view accounts|days] [--store sqlite|postgres|mysql|dynamodb]
    Rebuilds a view from the events while the bank is open. Ctrl-C interrupts it; the next run resumes.

npm run bank -- load [--url http://127.0.0.1:3000] [--rate 50] [--seconds 10] [--tellers 8]
    Sends commands to a running bank and checks each response against acknowledged commands. Exits with 1 at the first wrong one.`

const stop = new AbortController()
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      store: { type: 'string' },
      view: { type: 'string', default: 'accounts' },
      url: { type: 'string', default: `http://127.0.0.1:${process.env.PORT || 3000}` },
      rate: { type: 'string', default: '50' },
      seconds: { type: 'string', default: '10' },
      tellers: { type: 'string', default: '8' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [command] = positionals
  if (command === 'rebuild') process.exitCode = await rebuild({ ...values, signal: stop.signal })
  else if (command === 'load') {
    const { url, rate, seconds, tellers } = values
    process.exitCode = await load({
      url,
      rate: positive('rate', rate),
      seconds: positive('seconds', seconds),
      tellers: positive('tellers', tellers),
      signal: stop.signal,
    })
  } else {
    console.log(usage)
    process.exitCode = values.help ? 0 : 2
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (value > 0 && value < 1e6) return value
  throw new Error(`--${name} must be a number greater than 0, not '${text}'.`)
}
