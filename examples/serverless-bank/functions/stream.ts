import { onDynamoDbStream } from 'cqrs-es/lambda'
import { app } from './following.ts'

/** Called with new events: brings views and transfers up to date with the aggregates they belong to. */
export const handler = onDynamoDbStream(app)
