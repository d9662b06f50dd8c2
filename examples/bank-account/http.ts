import { createHandler } from 'cqrs-es/http'
import type { BankApp } from './app.ts'

/** The bank as an HTTP API. It asks nobody who he is: `listen.ts` serves it to this machine only. What is answered with 500 or 503 is logged. */
export const bankHandler = (app: BankApp, shutdown?: AbortSignal) =>
  createHandler(app, {
    authorize: 'none',
    ...(shutdown && { shutdown }),
    metadata: (request) => {
      const { pathname, search } = new URL(request.url)
      return { time: new Date().toISOString(), uri: pathname + search, userAgent: request.headers.get('User-Agent') ?? '' }
    },
    // The steps of a transfer are the bank's own.
    expose: {
      aggregates: {
        account: { commands: ['OpenAccount', 'DepositMoney', 'WithdrawCash', 'WriteCheck', 'CloseAccount'] },
        transfer: { commands: ['RequestTransfer'] },
      },
    },
    waitFor: ['days'],
    openApi: { title: 'Bank account', description },
  })

const description = `Open an account, then put money in, take some out, write checks, or send some to another account.

A command is sent with its data as the body. To send it twice without doing it twice, give it an \`Idempotency-Key\`.`
