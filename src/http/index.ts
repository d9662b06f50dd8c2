/** @module cqrs-es/http */
export { createHandler, openApiDocument } from './handler.ts'
export type { OpenApiDocument } from './open-api.ts'
export type { Authorization, HttpAction, HttpApp, HttpOptions, OpenApiOptions } from './options.ts'
