/** @module cqrs-es/messaging */
// Publications

// Inboxes
export type { InboxHandle, Received } from '../inboxes/handle.ts'
export { defineInbox, type Inbox, type InboxDeclaration, type InboxOptions } from '../inboxes/inbox.ts'
export type { CloudEvent } from '../publications/cloud-event.ts'
export type { PublicationHandle, PublicationReplay } from '../publications/handle.ts'
export {
  type BoundPublication,
  definePublication,
  type Publication,
  type PublicationOptions,
  type PublicEvent,
} from '../publications/publication.ts'
export type { SendResult, Target } from '../publications/target.ts'
export type { SendTo } from '../send-to.ts'
// Documents
export { type AsyncApiDocument, type AsyncApiInfo, asyncApi } from './async-api.ts'
// Targets
export type { BatchFailures, CallOptions } from './aws-batch.ts'
export { type CloudEventFrom, cloudEventFrom } from './cloud-event-from.ts'
export { type EventBridgeClient, type EventBridgeOptions, eventBridge } from './event-bridge.ts'
export { type KafkaOptions, type KafkaProducer, kafka } from './kafka.ts'
export { type JetStream, type NatsOptions, nats } from './nats.ts'
export { type RabbitConfirmChannel, type RabbitOptions, rabbit } from './rabbit.ts'
export { type SnsClient, type SnsOptions, sns } from './sns.ts'
export { type SqsClient, type SqsTargetOptions, sqs } from './sqs.ts'
export { type WebhookOptions, webhook } from './webhook.ts'
