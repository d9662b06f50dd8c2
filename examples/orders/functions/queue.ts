import type { SQSBatchResponse, SQSEvent } from 'aws-lambda'
import { isCqrsError } from 'cqrs-es'
import { cloudEventFrom } from 'cqrs-es/messaging'
import { app } from './shop.ts'

/** Receives reports of the payment service. A message that failed is delivered again. */
export async function handler({ Records }: SQSEvent): Promise<SQSBatchResponse> {
  const batchItemFailures: { itemIdentifier: string }[] = []
  for (const { messageId, body } of Records) {
    try {
      await app.inboxes.payments.receive(cloudEventFrom.sqs({ body }))
    } catch (error) {
      // No redelivery can succeed.
      if (isCqrsError(error, 'VALIDATION')) console.error(`The message ${messageId} is dropped: ${error.message}`)
      else batchItemFailures.push({ itemIdentifier: messageId })
    }
  }
  return { batchItemFailures }
}
