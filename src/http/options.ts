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

/** What `createHandler` asks of an app: what `createApp` makes. */
export interface HttpApp {
  /** By the names that are in the paths. */
  // biome-ignore lint/suspicious/noExplicitAny: the handle of any aggregate; its types are read from it
  readonly aggregates: Readonly<Record<string, AggregateHandle<any>>>
  /** By the names that are in the paths. */
  readonly views: Readonly<Record<string, object>>
}

type AggregateNames<P extends HttpApp> = keyof P['aggregates'] & string
type ViewNames<P extends HttpApp> = keyof P['views'] & string
type TypesOf<H> = H extends AggregateHandle<infer T> ? T : AggregateTypes
type CommandNames<P extends HttpApp, K extends AggregateNames<P>> = keyof TypesOf<P['aggregates'][K]>['commands'] & string

/** What somebody asks for, for `authorize`: all of it is known to exist. `find` names the view; which rows may be shown is the view's question. */
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

/** What `authorize` answers: who asks, or that he may not. */
export type Authorization<C> =
  | { readonly ok: true; readonly caller: C }
  | {
      readonly ok: false
      /** 401: not known who asks. 403: known, and may not. */
      readonly status: 401 | 403
      /** Shown to the caller. */
      readonly detail?: string | undefined
      /** The `WWW-Authenticate` header of a 401. Default `Bearer`. */
      readonly challenge?: string | undefined
    }

/** What `createHandler` takes. */
export interface HttpOptions<P extends HttpApp, C, X = unknown> {
  /**
   * Who may do this; asked about every request that has a place to go to, before its data is checked. About a command it is asked up to three times: the answer holds the state and the events
   * only where the caller may read them. A command whose type stands in the body is read first; one that there is not is asked about as a look at the document. What it throws, and any
   * other answer, is 500.
   *
   * `platform` is what the handler was called with besides the request: the event of a Lambda function, the bindings of a Worker. `'none'`: everybody may do everything, because
   * something in front of the handler has decided already.
   */
  readonly authorize:
    | 'none'
    | ((request: Request, action: HttpAction<P>, platform: X | undefined) => Authorization<C> | Promise<Authorization<C>>)
  /** What is stored with the events of a command; JSON. Default `{}`. What it throws, and what is not JSON, is answered with 500 before anything is stored. */
  readonly metadata?: (request: Request, caller: C, platform: X | undefined) => Metadata | Promise<Metadata>
  /** What can be reached. Default: all aggregates with all commands, states and events, and all views but those made by `defineSqlView`. */
  readonly expose?: {
    /** Only these aggregates, and of each only these commands; without `state`, `events` or `ids` where that is `false`. */
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
  /** Views that a command with the header `Prefer: wait=5` waits for, for so many seconds, 60 at the most. Default: none, and the header means nothing. */
  readonly waitFor?: readonly ViewNames<P>[]
  /** What comes before the paths, such as `/api`. Default `''`. */
  readonly basePath?: string
  /** Of the body of a command, in bytes. Default 65,536. A `Content-Length` is believed, since the server holds the body to it. */
  readonly maxBodyBytes?: number
  /** Told about each error that is answered with 500 or 503, or that breaks off a history. Default: `console.error`. */
  readonly onError?: (error: unknown, request: Request) => void
  /** Ends the event streams when it aborts. A server that closes waits for them, so abort it first. */
  readonly shutdown?: AbortSignal
  /** What the OpenAPI document says about the whole. */
  readonly openApi?: OpenApiOptions
}

/** What cannot be known from the definitions. */
export interface OpenApiOptions {
  /** Default `'API'`. */
  readonly title?: string
  /** Of the API. Default `'1.0.0'`. */
  readonly version?: string
  /** In CommonMark. */
  readonly description?: string
  /** How callers say who they are: OpenAPI's Security Scheme Objects by name. Each request needs one of them. */
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
      `createHandler needs authorize: a function that says who may do what, or 'none' where everybody may do everything.`,
    )
}

function checkBasePath(what: string, path: unknown): void {
  if (typeof path !== 'string' || !/^(\/[A-Za-z0-9._~-]+)*$/.test(path))
    throw new DefinitionError(`${what} must be '' or a path such as '/api', without a slash at its end.`)
}
