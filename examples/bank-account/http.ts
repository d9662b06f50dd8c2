import { createHandler } from 'cqrs-es/http'
import type { BankApp } from './app.ts'

/**
 * The bank as an HTTP API. It authenticates no caller: `listen.ts` serves this machine only. Errors
 * that result in 500 or 503 are logged.
 */
export const bankHandler = (app: BankApp, shutdown?: AbortSignal) =>
  createHandler(app, {
    authorize: 'none',
    ...(shutdown && { shutdown }),
    metadata: (request) => {
      const { pathname, search } = new URL(request.url)
      return { time: new Date().toISOString(), uri: pathname + search, userAgent: request.headers.get('User-Agent') ?? '' }
    },
    // Only the bank itself takes the steps of a transfer.
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
