/**
 * Sends deposits over open connections for `http.ts`, which counts only its own time. A message
 * starts it, `{ url, callers, commands }`, and it reports its end by a message.
 */
import { Agent, request } from 'node:http'

export interface Sending {
  /** Address of the aggregates; the number of the caller is added. */
  readonly url: string
  /** Callers, each with its own connection and account. */
  readonly callers: number
  /** Commands of each caller. */
  readonly commands: number
}

const agent = new Agent({ keepAlive: true })
const body = JSON.stringify({ amount: 1 })
const headers = { 'Content-Type': 'application/json', 'Content-Length': `${body.length}`, Authorization: 'Bearer ann' }

process.on('message', async ({ url, callers, commands }: Sending) => {
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = 0; i < commands; i++) await post(`${url}-${caller}/DepositMoney`)
    }),
  )
  process.send?.('done')
})

const post = (url: string) =>
  new Promise<void>((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`))))
    })
    sent.on('error', reject)
    sent.end(body)
  })
