import { createHandler } from 'cqrs-es/http'
import { onHttp } from 'cqrs-es/lambda'
import { authorize } from '../../serverless-bank/functions/authorize.ts'
import { exposed } from '../http.ts'
import { app } from './shop.ts'

/** The API. A Lambda function cannot stream, so a client reads the view `orders` again and again. */
export const handler = onHttp(
  createHandler(app, {
    authorize,
    metadata: (_request, { userId }) => ({ userId }),
    expose: exposed,
    openApi: { title: 'Orders' },
  }),
)
