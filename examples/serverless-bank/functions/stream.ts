import { onDynamoDbStream } from 'cqrs-es/lambda'
import { app } from './following.ts'

/** Receives new events: brings views and transfers up to date with their aggregates. */
export const handler = onDynamoDbStream(app)
