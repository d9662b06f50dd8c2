import type { OpenApiDocument } from './open-api.ts'
import type { HttpApp, HttpOptions } from './options.ts'
import { respond } from './respond.ts'
import { answerAborted, answerError, answerFault } from './responses.ts'
import { routeOf } from './routes.ts'
import { setupOf } from './setup.ts'

/**
 * Makes an HTTP API for the commands, aggregates and views of an app.
 *
 * The API is a function from `Request` to `Response`, for any server with these types. It never
 * rejects, and describes itself at `/openapi.json`. The second argument is passed to `authorize`
 * and `metadata`.
 *
 * @throws DefinitionError for a misspelt or missing option
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, noData, reject } from 'cqrs-es'
 * import { createHandler } from 'cqrs-es/http'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const door = defineAggregate({
 *   type: 'door',
 *   events: { Opened: noData },
 *   commands: { Open: noData },
 *   initialState: () => ({ open: false }),
 * }).implement({
 *   handle: { Open: (state) => (state.open ? reject('already-open') : { type: 'Opened' }) },
 *   apply: { Opened: () => ({ open: true }) },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { door } })
 * const handler = createHandler(app, { authorize: 'none' })
 * const open = () =>
 *   new Request('http://localhost/door/front/Open', { method: 'POST', headers: { 'Content-Type': 'application/json' } })
 * console.log((await handler(open())).status) // 200
 * console.log((await handler(open())).status) // 422
 * ```
 */
export function createHandler<P extends HttpApp, C = undefined, X = unknown>(
  app: P,
  options: HttpOptions<P, C, X>,
): (request: Request, platform?: X) => Promise<Response> {
  const setup = setupOf(app, options)
  const { basePath } = setup.options
  const answerTo = async (request: Request, platform: unknown): Promise<Response> => {
    const report = (error: unknown) => setup.report(error, request)
    try {
      const url = new URL(request.url)
      return await respond(setup, { request, platform, url }, routeOf(setup.exposed, basePath, request.method, url.pathname))
    } catch (error) {
      try {
        if (request.signal.aborted && error === request.signal.reason) return answerAborted(error)
        return answerError(error, { request, isForeign: setup.isForeign(error), report })
      } catch {
        // Even reading the error has failed.
        report(error)
        return answerFault()
      }
    }
  }
  return async (request, platform) => {
    const response = await answerTo(request, platform)
    return request.method === 'HEAD' ? withoutBody(response) : response
  }
}

/**
 * Makes the OpenAPI 3.1 document that a handler with these options serves at `/openapi.json`.
 *
 * Write it to a file, or generate a client from it.
 *
 * @throws DefinitionError for a misspelt or missing option
 *
 * @example
 * ```ts
 * import { createApp } from 'cqrs-es'
 * import { openApiDocument } from 'cqrs-es/http'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const app = createApp({ store: memoryStore(), aggregates: {} })
 * const document = openApiDocument(app, { authorize: 'none', openApi: { title: 'Bank', version: '2.0.0' } })
 * console.log(document.info) // { title: 'Bank', version: '2.0.0' }
 * ```
 */
export function openApiDocument<P extends HttpApp, C = undefined, X = unknown>(
  app: P,
  options: HttpOptions<P, C, X>,
): OpenApiDocument {
  return setupOf(app, options).document()
}

function withoutBody(response: Response): Response {
  void response.body?.cancel()
  return new Response(null, { status: response.status, headers: response.headers })
}
