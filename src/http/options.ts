import type { AggregateTypes } from '../aggregate.ts'
import type { AggregateHandle } from '../aggregate-handle.ts'
import { DefinitionError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import {
  listOf,
  type OptionsOf,
  optional,
  readOptions,
  required,
  signalOption,
  unchecked,
  wholeNumberFrom,
  withDefault,
} from '../util/option-table.ts'
import { checkFunction } from '../util/options.ts'

/** The part of an app that `createHandler` needs; an app of `createApp` has it. */
export interface HttpApp {
  /** Aggregates, by their names in the paths. */
  // biome-ignore lint/suspicious/noExplicitAny: the handle of any aggregate; its types are read from it
  readonly aggregates: Readonly<Record<string, AggregateHandle<any>>>
  /** Views, by their names in the paths. */
  readonly views: Readonly<Record<string, object>>
}

type AggregateNames<P extends HttpApp> = keyof P['aggregates'] & string
type ViewNames<P extends HttpApp> = keyof P['views'] & string
type TypesOf<H> = H extends AggregateHandle<infer T> ? T : AggregateTypes
type CommandNames<P extends HttpApp, K extends AggregateNames<P>> = keyof TypesOf<P['aggregates'][K]>['commands'] & string

/**
 * The requested action, for `authorize`. Every name in it exists.
 *
 * For `find` it names the view; the view itself must restrict rows.
 */
export type HttpAction<P extends HttpApp = HttpApp> =
  | { [K in AggregateNames<P>]: CommandAction<K, CommandNames<P, K>> }[AggregateNames<P>]
  | { readonly kind: 'state' | 'events'; readonly aggregate: AggregateNames<P>; readonly id: string }
  | { readonly kind: 'ids'; readonly aggregate: AggregateNames<P> }
  | { readonly kind: 'row'; readonly view: ViewNames<P>; readonly id: string }
  | { readonly kind: 'find'; readonly view: ViewNames<P>; readonly where: Readonly<Record<string, unknown>> }
  | { readonly kind: 'openapi' }

interface CommandAction<K extends string, C extends string> {
  readonly kind: 'command'
  readonly aggregate: K
  readonly id: string
  readonly command: C
}

/** Result of `authorize`: the caller, or a refusal. */
export type Authorization<C> =
  | { readonly ok: true; readonly caller: C }
  | {
      readonly ok: false
      /**
       * Status of the response: 401 for an unknown caller, 403 for a known one without permission.
       */
      readonly status: 401 | 403
      /** Message for the caller. */
      readonly detail?: string | undefined
      /** The `WWW-Authenticate` header of a 401. Default `Bearer`. */
      readonly challenge?: string | undefined
    }

/** Options of `createHandler`. */
export interface HttpOptions<P extends HttpApp, C, X = unknown> {
  /**
   * Decides whether a caller may do an action. Called for every request to an existing path.
   *
   * It runs before the request's data is checked. An exception or any other result is a 500. With
   * `'none'`, every caller may do everything: use it behind a gateway that has already decided.
   *
   * A command calls it up to three times, because the response includes state and events only if
   * the caller may read them. If the type of the command is in the body, the body is read first; an
   * unknown type is checked as a read of the document.
   *
   * The argument `platform` is the handler's second argument, such as the event of a Lambda
   * function or the bindings of a Worker.
   */
  readonly authorize:
    | 'none'
    | ((request: Request, action: HttpAction<P>, platform: X | undefined) => Authorization<C> | Promise<Authorization<C>>)
  /**
   * Returns metadata for the events of a command; JSON. Default `{}`.
   *
   * An exception, or a result that is not JSON, is a 500 before anything is stored.
   */
  readonly metadata?: (request: Request, caller: C, platform: X | undefined) => Metadata | Promise<Metadata>
  /** Exposed parts of the app. Default: everything except the views of `defineSqlView`. */
  readonly expose?: {
    /** Only these aggregates, each with only these commands, and without parts that are `false`. */
    readonly aggregates?: {
      readonly [K in AggregateNames<P>]?: {
        readonly commands?: readonly CommandNames<P, K>[]
        readonly state?: boolean
        readonly events?: boolean
        readonly ids?: boolean
      }
    }
    /** Only these views. */
    readonly views?: readonly ViewNames<P>[]
  }
  /**
   * Views that a command waits for if it has the header `Prefer: wait=5` (seconds, at most 60).
   *
   * Default: none, and the header is ignored.
   */
  readonly waitFor?: readonly ViewNames<P>[]
  /** Prefix of all paths, such as `/api`. Default `''`. */
  readonly basePath?: string
  /**
   * Maximum size of a command's body in bytes. Default 65,536.
   *
   * A `Content-Length` is trusted, because the server enforces it.
   */
  readonly maxBodyBytes?: number
  /**
   * Called for each error that results in a 500 or 503 or cuts off a history. Default:
   * `console.error`.
   */
  readonly onError?: (error: unknown, request: Request) => void
  /** Ends the event streams when it aborts. A closing server waits for them, so abort it first. */
  readonly shutdown?: AbortSignal
  /** Metadata of the OpenAPI document. */
  readonly openApi?: OpenApiOptions
}

/** Parts of the OpenAPI document that the definitions do not contain. */
export interface OpenApiOptions {
  /** Title of the API. Default `'API'`. */
  readonly title?: string
  /** Version of the API. Default `'1.0.0'`. */
  readonly version?: string
  /** Description of the API in CommonMark. Default: none. */
  readonly description?: string
  /**
   * Authentication of callers: OpenAPI Security Scheme Objects by name. A request needs one of
   * them.
   */
  readonly securitySchemes?: Readonly<Record<string, object>>
}

const optionsOfHandler = {
  authorize: required<ErasedOptions['authorize']>(checkAuthorize),
  metadata: optional<NonNullable<ErasedOptions['metadata']>>(checkFunction),
  expose: optional<NonNullable<ErasedOptions['expose']>>(unchecked),
  waitFor: withDefault<readonly string[]>([], listOf('a list of names of views')),
  basePath: withDefault('', checkBasePath),
  maxBodyBytes: withDefault(65_536, wholeNumberFrom(1)),
  onError: withDefault<NonNullable<ErasedOptions['onError']>>((error) => console.error(error), checkFunction),
  shutdown: signalOption,
  openApi: withDefault<OpenApiOptions>({}, (what, openApi) => readOptions(what, openApi, optionsOfOpenApi)),
}
const optionsOfOpenApi = {
  title: optional<string>(unchecked),
  version: optional<string>(unchecked),
  description: optional<string>(unchecked),
  securitySchemes: optional<object>(unchecked),
}

type ErasedOptions = HttpOptions<HttpApp, unknown>
/** The options of `createHandler`, checked, types erased. */
export type HandlerOptions = OptionsOf<typeof optionsOfHandler>

/** @throws DefinitionError */
export const readHttpOptions = (given: object): HandlerOptions => readOptions('createHandler', given, optionsOfHandler)

function checkAuthorize(_: string, authorize: unknown): void {
  if (authorize !== 'none' && typeof authorize !== 'function')
    throw new DefinitionError(
      `createHandler needs authorize: a function that decides what each caller may do, or 'none' to allow everything.`,
    )
}

function checkBasePath(what: string, path: unknown): void {
  if (typeof path !== 'string' || !/^(\/[A-Za-z0-9._~-]+)*$/.test(path))
    throw new DefinitionError(`${what} must be '' or a path such as '/api', without a slash at its end.`)
}
