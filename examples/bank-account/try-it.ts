/** What to type to try the server, each line a whole command; `''` and lines that begin with `#` are for the eye. */
export function tryIt(url: string): readonly string[] {
  const post = (data: object, ...headers: string[]) =>
    [`curl ${url}/account/acct-2`, ...['Content-Type: application/json', ...headers].map((header) => `-H '${header}'`)]
      .concat(`-d '${JSON.stringify(data)}'`)
      .join(' ')
  return [
    '# Open an account, put money in, take some out',
    post({ type: 'OpenAccount', data: { owner: 'bob' } }),
    post({ type: 'DepositMoney', data: { amount: 200 } }),
    post({ type: 'WithdrawCash', data: { atmId: 'ATM-1', amount: 50 } }),
    '',
    '# Refused: more than there is, and an ATM that is out of order',
    post({ type: 'WriteCheck', data: { check: '1170', amount: 1_000_000 } }),
    post({ type: 'WithdrawCash', data: { atmId: 'ATM-7', amount: 50 } }),
    '',
    '# Safe to send twice: the second answer is the first one again',
    post({ type: 'DepositMoney', data: { amount: 25 } }, 'Idempotency-Key: rent-may'),
    post({ type: 'DepositMoney', data: { amount: 25 } }, 'Idempotency-Key: rent-may'),
    '',
    '# Only if nothing has happened since event 1: a conflict by now',
    post({ type: 'DepositMoney', data: { amount: 5 } }, 'If-Match: "1"'),
    '',
    '# The view, the history, the accounts of one owner',
    `curl ${url}/account/acct-2`,
    `curl ${url}/account/acct-2/events`,
    `curl '${url}/accounts?owner=bob'`,
  ]
}
