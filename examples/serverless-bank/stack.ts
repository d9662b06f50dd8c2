import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib'
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import { HttpApi, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { EventSourceMapping, FilterCriteria, FilterRule, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { DeduplicationScope, FifoThroughputLimit, Queue } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { BankAlarms } from './alarms.ts'
import { BankFunction } from './function.ts'
import { type FunctionName, functionSettings, queueSettings, streamSettings } from './settings.ts'
import { BankTables } from './tables.ts'

export interface BankStackProps extends StackProps {
  /** Folder of each bundled function. */
  readonly bundles: Readonly<Record<FunctionName, { readonly folder: string }>>
  /** Issuer and audience of accepted tokens. Without them there is no API. */
  readonly tokens: { readonly issuer: string; readonly audience: readonly string[] }
  /** Address that receives alarms. Without it, alarms are only in the console. */
  readonly alarmEmail?: string
  /** Deletes the tables with the stack, for experiments. Default `false`: they outlive it. */
  readonly removable?: boolean
}

/** The bank account on Lambda and DynamoDB. */
export class BankStack extends Stack {
  constructor(scope: Construct, id: string, props: BankStackProps) {
    super(scope, id, props)
    const tables = new BankTables(this, 'Tables', { removable: props.removable ?? false })
    const make = (id: string, name: FunctionName, options: { readonly rebuilds?: boolean } = {}) =>
      new BankFunction(this, id, {
        name,
        bundle: props.bundles[name].folder,
        environment: tables.environment,
        statements: tables.statements(options),
      })
    const command = make('Command', 'command')
    const stream = make('Stream', 'stream')
    const queue = make('Queue', 'queue')
    const drain = make('Drain', 'drain', { rebuilds: true })

    const { api } = this.#serve(command, props.tokens)
    const deadRecords = this.#follow(stream, tables.streamArn)
    const { commands, deadCommands } = this.#queue(queue)
    this.#reconcile(drain)

    const alarms = new BankAlarms(this, 'Alarms', props.alarmEmail === undefined ? {} : { email: props.alarmEmail })
    for (const one of [command, stream, queue, drain]) alarms.onFunction(one)
    alarms.onStream(stream)
    alarms.onDeadLetters('Records', deadRecords)
    alarms.onDeadLetters('Commands', deadCommands)
    alarms.onApi(api)

    new CfnOutput(this, 'Url', { value: api.apiEndpoint })
    new CfnOutput(this, 'CommandQueueUrl', { value: commands.queueUrl })
    new CfnOutput(this, 'EventsTable', { value: tables.nameOf('events') })
  }

  /** Routes every path and method to one function, after API Gateway has checked the token. */
  #serve(command: BankFunction, { issuer, audience }: BankStackProps['tokens']) {
    const api = new HttpApi(this, 'Api', {
      createDefaultStage: false,
      defaultAuthorizer: new HttpJwtAuthorizer('Tokens', issuer, { jwtAudience: [...audience] }),
      defaultIntegration: new HttpLambdaIntegration('ToCommand', command.function),
    })
    const log = new LogGroup(this, 'ApiLog', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY })
    new HttpStage(this, 'ApiStage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      // One API should not use all 10,000 requests per second of the account.
      throttle: { rateLimit: 500, burstLimit: 1_000 },
      accessLogSettings: { destination: new LogGroupLogDestination(log), format: AccessLogFormat.custom(JSON.stringify(logged)) },
    })
    return { api }
  }

  /**
   * Delivers new events to the function, in order per aggregate. A failing record holds up its
   * shard for the retries, then goes to the dead-letter queue.
   */
  #follow(stream: BankFunction, streamArn: string): Queue {
    const dead = this.#deadLetters('DeadRecords')
    stream.allow(
      ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
      streamArn,
    )
    stream.allow(['sqs:SendMessage'], dead.queueArn)
    new EventSourceMapping(this, 'EventsToStream', {
      target: stream.function,
      eventSourceArn: streamArn,
      startingPosition: StartingPosition.TRIM_HORIZON,
      batchSize: streamSettings.batchSize,
      retryAttempts: streamSettings.retryAttempts,
      maxRecordAge: Duration.seconds(streamSettings.maxRecordAgeSeconds),
      bisectBatchOnError: true,
      reportBatchItemFailures: true,
      filters: [FilterCriteria.filter({ eventName: FilterRule.isEqual('INSERT') })],
      onFailure: { bind: () => ({ destination: dead.queueArn }) },
    })
    return dead
  }

  /**
   * Another entry, for programs: commands that can wait. With the account as message group they
   * keep their order. The deduplication id identifies a repeat; SQS must not derive it from the
   * content, since two deposits may be alike.
   */
  #queue(queue: BankFunction) {
    const deadCommands = this.#deadLetters('DeadCommands', { fifo: true })
    const commands = new Queue(this, 'Commands', {
      fifo: true,
      contentBasedDeduplication: false,
      deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      enforceSSL: true,
      retentionPeriod: Duration.days(4),
      visibilityTimeout: Duration.seconds(6 * functionSettings.queue.timeout),
      deadLetterQueue: { queue: deadCommands, maxReceiveCount: queueSettings.maxReceiveCount },
    })
    queue.allow(['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'], commands.queueArn)
    new EventSourceMapping(this, 'CommandsToQueue', {
      target: queue.function,
      eventSourceArn: commands.queueArn,
      batchSize: queueSettings.batchSize,
      reportBatchItemFailures: true,
    })
    return { commands, deadCommands }
  }

  /** Finds lost and given-up records: once a day, since it scans every aggregate. */
  #reconcile(drain: BankFunction): void {
    new Rule(this, 'EveryDay', {
      schedule: Schedule.rate(Duration.days(1)),
      targets: [new LambdaFunction(drain.function, { retryAttempts: 2, maxEventAge: Duration.hours(6) })],
    })
  }

  /** Kept as long as SQS allows, so that operators have time to look. */
  #deadLetters(id: string, options: { readonly fifo?: true } = {}): Queue {
    return new Queue(this, id, { ...options, enforceSSL: true, retentionPeriod: Duration.days(14) })
  }
}

/**
 * The record of a request, even if no function was called: caller, request and reason of a refusal.
 */
const logged = {
  requestId: '$context.requestId',
  time: '$context.requestTime',
  ip: '$context.identity.sourceIp',
  method: '$context.httpMethod',
  path: '$context.path',
  status: '$context.status',
  refusedBy: '$context.authorizer.error',
  failure: '$context.integrationErrorMessage',
}
