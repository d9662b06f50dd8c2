import type { AppParts } from '../app.ts'
import { DefinitionError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { safely } from '../util/report-errors.ts'
import { type ErasedApp, type ErasedExpose, type Exposed, exposedOf } from './exposed.ts'
import { type OpenApiDocument, openApiOf } from './open-api.ts'
import { type HandlerOptions, type HttpApp, readHttpOptions } from './options.ts'

/** The app and the checked options of `createHandler`, types erased. */
export interface HttpSetup {
  readonly exposed: Exposed
  readonly options: HandlerOptions
  readonly maxBodyBytes: number
  readonly waitFor: readonly string[]
  /** Reports an error that results in a 500 or 503 or cuts off a response. */
  readonly report: (error: unknown, request: Request) => void
  /** Whether a handler or a schema of the app threw the error. */
  readonly isForeign: (error: unknown) => boolean
  readonly sleep: Runtime['sleep']
  /** Made on first use. */
  readonly document: () => OpenApiDocument
}

/** @throws DefinitionError */
export function setupOf(app: HttpApp, given: object): HttpSetup {
  const options = readHttpOptions(given)
  const erased = app as unknown as ErasedApp | undefined
  const parts: AppParts | undefined = erased?.['~parts']
  if (erased === undefined || parts === undefined) throw new DefinitionError('createHandler needs an app made by createApp.')
  const exposed = exposedOf(erased, parts, options.expose as ErasedExpose | undefined)
  const { waitFor, maxBodyBytes, onError } = options
  const unknown = waitFor.find((view) => !parts.views.has(view))
  if (unknown !== undefined)
    throw new DefinitionError(
      `createHandler: waitFor: there is no view '${unknown}'. There are: ${[...parts.views.keys()].join(', ')}.`,
    )
  let document: OpenApiDocument | undefined
  return {
    exposed,
    options,
    waitFor,
    maxBodyBytes,
    report: safely(onError, reportTelling),
    isForeign: parts.isForeign,
    sleep: parts.sleep,
    document: () => {
      document ??= openApiOf(exposed, options)
      return document
    },
  }
}

const reportTelling = (thrown: unknown, error: unknown) => console.error('onError threw:', thrown, 'when called with:', error)
