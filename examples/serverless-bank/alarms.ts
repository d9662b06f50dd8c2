import { Duration } from 'aws-cdk-lib'
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2'
import { type Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Queue } from 'aws-cdk-lib/aws-sqs'
import { Construct } from 'constructs'
import type { BankFunction } from './function.ts'

const period = Duration.minutes(5)

/** Alarms for operators. With `email`, a topic sends them. */
export class BankAlarms extends Construct {
  readonly #topic: Topic | undefined

  constructor(scope: Construct, id: string, { email }: { readonly email?: string }) {
    super(scope, id)
    if (email === undefined) return
    this.#topic = new Topic(this, 'Topic')
    this.#topic.addSubscription(new EmailSubscription(email))
  }

  onFunction({ node, function: one }: BankFunction): void {
    this.#alarm(`${node.id}Errors`, one.metricErrors({ period }), 1, `The function ${node.id} has failed: read its log.`)
    this.#alarm(`${node.id}Throttles`, one.metricThrottles({ period }), 1, `More calls of ${node.id} than the account allows.`)
  }

  onStream({ function: one }: BankFunction): void {
    const age = one.metric('IteratorAge', { period, statistic: 'max' })
    this.#alarm('StreamBehind', age, 5 * 60_000, 'Views and transfers lag the events by more than five minutes.')
  }

  onDeadLetters(what: string, queue: Queue): void {
    const waiting = queue.metricApproximateNumberOfMessagesVisible({ period, statistic: 'max' })
    this.#alarm(`Dead${what}`, waiting, 1, `${what} were given up: find the cause in the dead-letter queue.`)
  }

  onApi(api: HttpApi): void {
    this.#alarm('ApiErrors', api.metricServerError({ period, statistic: 'sum' }), 1, 'The API has responded with 5xx.')
  }

  #alarm(id: string, metric: Metric, threshold: number, alarmDescription: string): void {
    const alarm = metric.createAlarm(this, id, {
      threshold,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription,
    })
    if (this.#topic !== undefined) alarm.addAlarmAction(new SnsAction(this.#topic))
  }
}
