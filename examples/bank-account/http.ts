import { type CommandOf, type ExecuteOptions, ValidationError } from 'cqrs-es'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { answer, answerError, problem } from './answers.ts'
import type { BankApp } from './app.ts'
import type { bankAccount } from './bank-account.ts'

/** The bank as an HTTP API. `log` gets every error that is answered with 500 or 503. */
export function bankApi({ aggregates, views }: BankApp, log: (error: unknown) => void = console.error) {
  const { account } = aggregates
  const { accounts } = views
  const api = new Hono()
  api.onError((error, c) => answerError(error, c, log))
  api.notFound((c) => problem(c, 404, { detail: `There is nothing at ${pathOf(c)}.` }))
  api.use(refuseMalformedPath)

  api.get('/', (c) => answer(c, { routes }))

  api.post('/account/:id', limitBody, async (c) => {
    const result = await account.execute(c.req.param('id'), await readCommand(c), executeOptions(c))
    if (!result.ok) {
      const { reason, details } = result
      return problem(c, 422, { detail: `The account refused: ${reason}.`, reason, details })
    }
    const { sequence, events, replayed } = result
    c.header('ETag', `"${sequence}"`)
    return answer(c, { sequence, events, replayed })
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
]

const maxBodyBytes = 64 * 1024

const limitBody = bodyLimit({
  maxSize: maxBodyBytes,
  onError: (c) => problem(c, 413, { detail: `A command may have ${maxBodyBytes} bytes.` }),
})

/** The body as it came: `execute` checks all of it, the type of the command included. */
async function readCommand(c: Context): Promise<CommandOf<typeof bankAccount>> {
  const mediaType = c.req.header('Content-Type')?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') throw new HTTPException(415, { message: 'Send the command as application/json.' })
  const text = await c.req.text()
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ValidationError('The body is not JSON.', undefined, cause)
  }
}

function executeOptions(c: Context): ExecuteOptions {
  const idempotencyKey = c.req.header('Idempotency-Key')
  const expectedSequence = expectedBy(c)
  return {
    metadata: {
      time: new Date().toISOString(),
      uri: pathOf(c),
      userAgent: c.req.header('User-Agent') ?? '',
    },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(expectedSequence === undefined ? {} : { expectedSequence }),
  }
}

/** `If-Match: "3"`: only if nothing has happened since. `If-None-Match: *`: only if the account is new. */
function expectedBy(c: Context): number | undefined {
  const match = c.req.header('If-Match')
  const noneMatch = c.req.header('If-None-Match')
  if (noneMatch !== undefined && noneMatch !== '*') throw new ValidationError('If-None-Match can be * with a command.')
  if (match === undefined) return noneMatch === undefined ? undefined : 0
  const [, sequence] = /^"(\d{1,15})"$/.exec(match) ?? []
  if (sequence === undefined || noneMatch !== undefined)
    throw new ValidationError('If-Match must be the one ETag of an account, in its quotes, without an If-None-Match.')
  return Number(sequence)
}

function wholeNumber(c: Context, name: string, { least, most = Number.MAX_SAFE_INTEGER, otherwise }: Bounds): number {
  const text = c.req.query(name)
  if (text === undefined) return otherwise
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw new ValidationError(`The parameter ${name} must be a whole number from ${least} to ${most}.`)
}

interface Bounds {
  readonly least: number
  readonly most?: number
  readonly otherwise: number
}

async function refuseMalformedPath(c: Context, next: () => Promise<void>): Promise<void> {
  try {
    decodeURIComponent(pathOf(c))
  } catch (cause) {
    throw new ValidationError('The path is not percent-encoded UTF-8.', undefined, cause)
  }
  await next()
}

const pathOf = (c: Context): string => {
  const { pathname, search } = new URL(c.req.url)
  return pathname + search
}

const noAccount = (c: Context, id: string) => problem(c, 404, { detail: `There is no account '${id}'.` })

function notAllowed(c: Context, allowed: string) {
  c.header('Allow', allowed)
  return problem(c, 405, { detail: `Only ${allowed} are allowed here.` })
}
