import type { CloudEvent } from '../publications/cloud-event.ts'

/** Outcome of a received message. Acknowledge the message in every case. */
export interface Received {
  /**
   * Outcome of the command.
   *
   * * `stored`: its events are stored.
   * * `repeated`: an earlier delivery stored them.
   * * `nothing`: it resulted in no events.
   * * `refused`: the aggregate rejected it.
   * * `ignored`: the inbox does not want the message.
   */
  readonly outcome: 'stored' | 'repeated' | 'nothing' | 'refused' | 'ignored'
  /** Reason of a rejection. */
  readonly reason?: string
}

/** An inbox of an app. */
export interface InboxHandle {
  /**
   * Executes the command of a message, stored once per source and id.
   *
   * Acknowledge the message when the promise resolves. After a `ValidationError` put it aside: no
   * redelivery can succeed. After any other error let the broker redeliver it.
   * @throws ValidationError for a message or data that does not fit, errors of the mapping, and of
   * `execute`
   */
  receive(message: CloudEvent): Promise<Received>
}
