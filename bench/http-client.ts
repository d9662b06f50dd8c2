/** Sends deposits over connections that are kept open, for `http.ts`, which counts only its own time: `{ url, callers, commands }` comes by message, and so does the end. */
import { Agent, request } from 'node:http'

export interface Sending {
  /** Of the aggregates; the caller's number is added. */
  readonly url: string
  /** Each has a connection and an account of its own. */
  readonly callers: number
  /** Of each caller. */
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
