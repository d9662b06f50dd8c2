import { type CommandOf, ValidationError } from 'cqrs-es'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { answer, answerAccepted, answerError, problem } from './answers.ts'
import type { BankApp } from './app.ts'
import type { bankAccount } from './bank-account.ts'
import { executeOptions, pathOf, readCommand, wholeNumber } from './requests.ts'
import type { transfer } from './transfer.ts'

type AccountCommand = CommandOf<typeof bankAccount>
type TransferCommand = Extract<CommandOf<typeof transfer>, { readonly type: 'RequestTransfer' }>

/** The bank as an HTTP API. `log` gets every error that is answered with 500 or 503. */
export function bankApi({ aggregates, views }: BankApp, log: (error: unknown) => void = console.error) {
  const { account, transfer } = aggregates
  const { accounts, days } = views
  const api = new Hono()
  api.onError((error, c) => answerError(error, c, log))
  api.notFound((c) => problem(c, 404, { detail: `There is nothing at ${pathOf(c)}.` }))
  api.use(refuseMalformedPath)

  api.get('/', (c) => answer(c, { routes }))

  api.post('/account/:id', limitBody, async (c) => {
    const result = await account.execute(c.req.param('id'), await readCommand<AccountCommand>(c, forAll), executeOptions(c))
    if (!result.ok) {
      const { reason, details } = result
      return problem(c, 422, { detail: `The account refused: ${reason}.`, reason, details })
    }
    return answerAccepted(c, result)
  })

  api.get('/account/:id', async (c) => {
    const id = c.req.param('id')
    const row = await accounts.load(id)
    if (row === undefined) return noAccount(c, id)
    c.header('ETag', `"${row.view.sequence}"`)
    return answer(c, { id, ...row.view })
  })

  api.get('/account/:id/events', async (c) => {
    const id = c.req.param('id')
    const after = wholeNumber(c, 'after', { least: 0, otherwise: 0 })
    const limit = wholeNumber(c, 'limit', { least: 1, most: 1_000, otherwise: 100 })
    const items = []
    for await (const event of account.events(id, { after })) {
      if (items.length === limit) return answer(c, { items, next: items.at(-1)?.sequence })
      items.push(event)
    }
    return items.length === 0 && after === 0 ? noAccount(c, id) : answer(c, { items })
  })

  api.get('/accounts', async (c) => {
    const { owner, after } = c.req.query()
    const limit = wholeNumber(c, 'limit', { least: 1, most: 1_000, otherwise: 100 })
    const page = await accounts.find(owner === undefined ? {} : { owner }, { limit, ...(after === undefined ? {} : { after }) })
    return answer(c, { ...page, items: page.items.map(({ id, view }) => ({ id, owner: view.owner, balance: view.balance })) })
  })

  api.post('/transfer/:id', limitBody, async (c) => {
    const command = await readCommand<TransferCommand>(c, ['RequestTransfer'])
    const result = await transfer.execute(c.req.param('id'), command, executeOptions(c))
    if (!result.ok) return problem(c, 422, { detail: `The transfer was refused: ${result.reason}.`, reason: result.reason })
    return answerAccepted(c, result)
  })

  api.get('/transfer/:id', async (c) => {
    const id = c.req.param('id')
    const { state, sequence } = await transfer.load(id)
    return sequence === 0 ? problem(c, 404, { detail: `There is no transfer '${id}'.` }) : answer(c, { id, ...state })
  })

  api.get('/day/:day', async (c) => {
    const row = await days.load(c.req.param('day'))
    return row === undefined ? problem(c, 404, { detail: 'Nothing is known of that day.' }) : answer(c, row.view)
  })

  api.all('/transfer/:id', (c) => notAllowed(c, 'GET, HEAD, POST'))
  api.all('/day/:day', (c) => notAllowed(c, 'GET, HEAD'))
  api.all('/account/:id', (c) => notAllowed(c, 'GET, HEAD, POST'))
  api.all('/account/:id/events', (c) => notAllowed(c, 'GET, HEAD'))
  api.all('/accounts', (c) => notAllowed(c, 'GET, HEAD'))
  return api
}

const routes = [
  'POST /account/{id}',
  'GET /account/{id}',
  'GET /account/{id}/events?after=&limit=',
  'GET /accounts?owner=&after=&limit=',
  'POST /transfer/{id}',
  'GET /transfer/{id}',
  'GET /day/{yyyy-mm-dd}',
]

/** The steps of a transfer are the bank's own. */
const forAll = ['OpenAccount', 'DepositMoney', 'WithdrawCash', 'WriteCheck', 'CloseAccount'] as const

const maxBodyBytes = 64 * 1024

const limitBody = bodyLimit({
  maxSize: maxBodyBytes,
  onError: (c) => problem(c, 413, { detail: `A command may have ${maxBodyBytes} bytes.` }),
})

async function refuseMalformedPath(c: Context, next: () => Promise<void>): Promise<void> {
  try {
    decodeURIComponent(pathOf(c))
  } catch (cause) {
    throw new ValidationError('The path is not percent-encoded UTF-8.', undefined, cause)
  }
  await next()
}

const noAccount = (c: Context, id: string) => problem(c, 404, { detail: `There is no account '${id}'.` })

function notAllowed(c: Context, allowed: string) {
  c.header('Allow', allowed)
  return problem(c, 405, { detail: `Only ${allowed} are allowed here.` })
}
