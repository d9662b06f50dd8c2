import type {
  APIGatewayProxyEventV2WithJWTAuthorizer,
  APIGatewayProxyEventV2WithLambdaAuthorizer,
  APIGatewayProxyHandlerV2,
  DynamoDBStreamHandler,
  EventBridgeHandler,
  Handler,
  LambdaFunctionURLHandler,
  LambdaFunctionURLHandlerWithIAMAuthorizer,
  ScheduledHandler,
  SQSHandler,
} from 'aws-lambda'
import { createApp, type Store } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { type HttpResult, onDynamoDbStream, onHttp, onSchedule, onSqs } from 'cqrs-es/lambda'
import { Hono } from 'hono'
import { bankAccount } from './api.ts'

declare const store: Store
const services = { account: { validateCheck: async () => true } }
const app = createApp({ store, aggregates: { account: bankAccount }, services })
const empty = createApp({ store, aggregates: {} })
const respond = async (request: Request) => new Response(request.method)

export const overHttp: APIGatewayProxyHandlerV2 = onHttp(respond)
export const withToken: Handler<APIGatewayProxyEventV2WithJWTAuthorizer, HttpResult> = onHttp(respond)
export const authorized: Handler<APIGatewayProxyEventV2WithLambdaAuthorizer<{ user: string }>, HttpResult> = onHttp(respond)
export const byUrl: LambdaFunctionURLHandler = onHttp(new Hono().fetch)
export const signed: LambdaFunctionURLHandlerWithIAMAuthorizer = onHttp(() => new Response())
export const withClaims: Handler<APIGatewayProxyEventV2WithJWTAuthorizer, HttpResult> = onHttp(
  createHandler(app, {
    authorize: (_request, _action, event: APIGatewayProxyEventV2WithJWTAuthorizer | undefined) => {
      const userId = event?.requestContext.authorizer.jwt.claims.sub
      return typeof userId === 'string' ? { ok: true, caller: { userId } } : { ok: false, status: 401 }
    },
    metadata: (_request, { userId }, event) => ({ userId, from: event?.requestContext.http.sourceIp }),
  }),
)
export const open: APIGatewayProxyHandlerV2 = onHttp(createHandler(app, { authorize: 'none' }))
export const queue: SQSHandler = onSqs(app)
export const stream: DynamoDBStreamHandler = onDynamoDbStream(app)
export const schedule: ScheduledHandler = onSchedule(app, { reconcile: true })
export const toFlow: EventBridgeHandler<'Scheduled Event', unknown, { caughtUp: boolean }> = onSchedule(app)
export const ofNothing = [onSqs(empty), onDynamoDbStream(empty), onSchedule(empty)]

export const told: SQSHandler = onSqs(app, {
  metadata: ({ messageAttributes, attributes }) => ({
    correlationId: messageAttributes?.correlationId?.stringValue,
    sentAt: attributes?.SentTimestamp,
  }),
  onRejected: ({ reason, details }, { messageId }) => console.log(reason, details, messageId),
  onFailure: async (error, { attributes }) => console.log(error, attributes?.ApproximateReceiveCount),
})
export const drained: Promise<{ readonly caughtUp: boolean; readonly events: number }> = onSchedule(app)({})

// @ts-expect-error a misspelt option
onSqs(app, { onFail: () => {} })
// @ts-expect-error no app
onDynamoDbStream({})
// @ts-expect-error what answers with something else
onHttp(() => 'text')
// @ts-expect-error a handler that needs the event of something else
onHttp((_request, event: { readonly queue: string }) => new Response(event.queue))
