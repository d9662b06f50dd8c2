import { checkFunction } from '../util/options.ts'
import { BadRequest, checkHttpEvent, type HttpEvent, toRequest } from './http-request.ts'
import { badRequest, type HttpResult, toResult } from './http-response.ts'
import { type LambdaContext, withinTime } from './time.ts'

/**
 * Makes a Lambda function for an API Gateway HTTP API or a Function URL from a request handler.
 *
 * Takes any `(request) => response`, such as `createHandler` of `cqrs-es/http`, and events in
 * payload format 2.0. The handler also receives the event, which holds the results of an
 * authorizer.
 *
 * The request's signal aborts half a second before the function's time is up. A malformed request
 * results in a 400. An error of the handler passes through, and Lambda makes it a 500 or 502. The
 * response leaves when it is complete: Lambda allows up to 6 MB.
 *
 * @throws DefinitionError from the function for an event of another source
 *
 * @example
 * ```ts
 * import { onHttp } from 'cqrs-es/lambda'
 *
 * export const handler = onHttp((request) => Response.json({ path: new URL(request.url).pathname }))
 *
 * const { statusCode, body } = await handler({
 *   version: '2.0',
 *   rawPath: '/accounts/a-1',
 *   rawQueryString: '',
 *   headers: {},
 *   isBase64Encoded: false,
 *   requestContext: { domainName: 'x.lambda-url.eu-central-1.on.aws', stage: '$default', http: { method: 'GET' } },
 * })
 * console.log(statusCode, body) // 200 {"path":"/accounts/a-1"}
 * ```
 */
export function onHttp<E extends HttpEvent = HttpEvent>(
  handler: (request: Request, event: E) => Response | Promise<Response>,
): (event: E, context?: LambdaContext) => Promise<HttpResult>
export function onHttp<E extends HttpEvent>(
  handler: (request: Request, event?: E) => Response | Promise<Response>,
): (event: E, context?: LambdaContext) => Promise<HttpResult>
export function onHttp(
  handler: (request: Request, event: HttpEvent) => Response | Promise<Response>,
): (event: HttpEvent, context?: LambdaContext) => Promise<HttpResult> {
  checkFunction('onHttp: the handler', handler)
  return async (event, context) => {
    checkHttpEvent(event)
    return withinTime(context, (begin) =>
      begin(async (signal) => {
        const request = toRequest(event, signal)
        if (request instanceof BadRequest) return badRequest(request.message)
        return toResult(request, await handler(request, event))
      }),
    )
  }
}
