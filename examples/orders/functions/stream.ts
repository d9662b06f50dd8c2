import { onDynamoDbStream } from 'cqrs-es/lambda'
import { app } from './shop.ts'

/** Receives new events: the process takes its next step, views follow, messages are published. */
export const handler = onDynamoDbStream(app)
