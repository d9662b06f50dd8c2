import { localToken } from './tokens.ts'

/**
 * Lines to type to try the bank, each a whole command. `''` and lines that start with `#` are for
 * the reader.
 */
export function tryIt(url: string): readonly string[] {
  const today = new Date().toISOString().slice(0, 10)
  const post = (path: string, data: object, ...headers: string[]) =>
    [`curl ${url}${path}`, ...[auth, 'Content-Type: application/json', ...headers].map((header) => `-H "${header}"`)]
      .concat(`-d '${JSON.stringify(data)}'`)
      .join(' ')
  const get = (path: string) => `curl '${url}${path}' -H "${auth}"`
  return [
    '# A token that only the local run takes: nobody has signed it',
    `TOKEN=${localToken('ann')}`,
    '',
    '# Open two accounts, and put money in',
    post('/account/acct-1/OpenAccount', { owner: 'ann' }),
    post('/account/acct-2/OpenAccount', { owner: 'bob' }),
    post('/account/acct-1/DepositMoney', { amount: 200 }),
    '',
    '# The view of the accounts is never behind',
    get('/views/accounts/acct-1'),
    get('/views/accounts?owner=bob'),
    '',
    '# Safe to send twice: the second answer is the first one again',
    post('/account/acct-1/DepositMoney', { amount: 25 }, 'Idempotency-Key: rent-may'),
    post('/account/acct-1/DepositMoney', { amount: 25 }, 'Idempotency-Key: rent-may'),
    '',
    '# Moved along by the stream function, step by step; so is the view of the day',
    post('/transfer/t-1/RequestTransfer', { from: 'acct-1', to: 'acct-2', amount: 30 }),
    get('/transfer/t-1'),
    get(`/views/days/${today}`),
    '',
    '# Refused by the account, and without a token by the gateway',
    post('/account/acct-2/WithdrawCash', { atmId: 'ATM-1', amount: 1_000_000 }),
    `curl ${url}/account/acct-1`,
    '',
    '# A message as SQS would hand it over',
    queued(url),
  ]
}

const auth = 'Authorization: Bearer $TOKEN'

const queued = (url: string): string => {
  const body = JSON.stringify({ aggregate: 'account', id: 'acct-2', command: { type: 'DepositMoney', data: { amount: 5 } } })
  return `curl ${url}/_local/queue -d '${JSON.stringify([{ body }])}'`
}
