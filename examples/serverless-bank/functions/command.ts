import { createHandler } from 'cqrs-es/http'
import { onHttp } from 'cqrs-es/lambda'
import { authorize } from './authorize.ts'
import { app } from './bank.ts'

/**
 * The API: commands, states, histories and views. Only the bank itself takes the steps of a
 * transfer.
 */
export const handler = onHttp(
  createHandler(app, {
    authorize,
    metadata: (_request, { userId }) => ({ userId }),
    expose: {
      aggregates: {
        account: { commands: ['OpenAccount', 'DepositMoney', 'WithdrawCash', 'WriteCheck', 'CloseAccount'] },
        transfer: { commands: ['RequestTransfer'] },
      },
    },
    openApi: {
      title: 'Bank account',
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }),
)
