/**
 * Lines to type to try the server, each a whole command. `''` and lines that start with `#` are for
 * the reader.
 */
export function tryIt(url: string): readonly string[] {
  const post = (command: string, data: object, ...headers: string[]) =>
    [`curl ${url}/account/acct-2/${command}`, ...['Content-Type: application/json', ...headers].map((header) => `-H '${header}'`)]
      .concat(`-d '${JSON.stringify(data)}'`)
      .join(' ')
  return [
    '# Open an account, put money in, take some out',
    post('OpenAccount', { owner: 'bob' }),
    post('DepositMoney', { amount: 200 }),
    post('WithdrawCash', { atmId: 'ATM-1', amount: 50 }),
    '',
    '# Refused: more than there is, and an ATM that is out of order',
    post('WriteCheck', { check: '1170', amount: 1_000_000 }),
    post('WithdrawCash', { atmId: 'ATM-7', amount: 50 }),
    '',
    '# Safe to send twice: the second answer is the first one again',
    post('DepositMoney', { amount: 25 }, 'Idempotency-Key: rent-may'),
    post('DepositMoney', { amount: 25 }, 'Idempotency-Key: rent-may'),
    '',
    '# Only if nothing has happened since event 1: too late by now',
    post('DepositMoney', { amount: 5 }, 'If-Match: "1"'),
    '',
    '# The state, the history, the view, the accounts of one owner',
    `curl ${url}/account/acct-2`,
    `curl ${url}/account/acct-2/events`,
    `curl ${url}/views/accounts/acct-2`,
    `curl '${url}/views/accounts?owner=bob'`,
  ]
}
