import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Match } from 'aws-cdk-lib/assertions'
import { tableDefinitions } from 'cqrs-es/dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bundle, bundleFunctions } from './bundle.ts'
import { type FunctionName, functionNames } from './settings.ts'
import { arn, BankTemplate, type Right } from './test/template.ts'

let folder: string
let bundles: Readonly<Record<FunctionName, Bundle>>
let template: BankTemplate

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bank-stack-'))
  bundles = await bundleFunctions(folder)
  template = new BankTemplate({ bundles })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const one = (type: string, name: string) => template.one(type, name)
const table = (role: string) => template.table(role)
const functionOf = (name: string) => one('AWS::Lambda::Function', `${name}Function`)

describe('the tables', () => {
  const roles = ['events', 'snapshots', 'views', 'meta'] as const

  it.each(roles)('the table %s is as the store defines it, with recovery, and outlives the stack', (role) => {
    const definition = tableDefinitions({ streams: true })[roles.indexOf(role)]
    const { TableName: _, ...shape } = definition ?? { TableName: '' }
    const [, resource] = table(role)
    expect(resource.Properties).toEqual({
      ...shape,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    })
    expect([resource.DeletionPolicy, resource.UpdateReplacePolicy]).toEqual(['Retain', 'Retain'])
  })

  it('the tables have a stream of new events and expire idempotency keys', () => {
    expect(table('events')[1].Properties.StreamSpecification).toEqual({ StreamViewType: 'NEW_IMAGE' })
    expect(table('meta')[1].Properties.TimeToLiveSpecification).toEqual({ AttributeName: 'ExpiresAt', Enabled: true })
  })

  it('the stack has four tables', () => template.all.resourceCountIs('AWS::DynamoDB::Table', 4))

  it('the tables are removed with the stack only on request', () => {
    for (const [, resource] of new BankTemplate({ bundles, removable: true }).of('AWS::DynamoDB::Table')) {
      expect(resource.DeletionPolicy).toBe('Delete')
      expect(resource.Properties.DeletionProtectionEnabled).toBe(false)
    }
  })
})

describe('permissions', () => {
  const onTables = (extraOnViews: readonly string[] = []) => [
    statement(['GetItem', 'PutItem', 'Query'], arn(table('events'))),
    statement(['GetItem', 'UpdateItem'], arn(table('snapshots'))),
    statement(['BatchGetItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query', ...extraOnViews].sort(), arn(table('views'))),
    statement(['BatchGetItem', 'ConditionCheckItem', 'GetItem', 'PutItem', 'UpdateItem'], arn(table('meta'))),
    statement(['Query'], { 'Fn::Join': ['', [arn(table('events')), '/index/FirstEvents']] }),
  ]
  const log = (name: string) =>
    statement(['logs:CreateLogStream', 'logs:PutLogEvents'], arn(one('AWS::Logs::LogGroup', `${name}Log`)))

  it('the command function may use its tables and its log', () => {
    expect(rightsOf('Command')).toEqual(sorted([log('Command'), ...onTables()]))
  })

  it('the stream function may also use the stream and the dead-letter queue', () => {
    expect(rightsOf('Stream')).toEqual(
      sorted([
        log('Stream'),
        ...onTables(),
        statement(['DescribeStream', 'GetRecords', 'GetShardIterator', 'ListStreams'], arn(table('events'), 'StreamArn')),
        statement(['sqs:SendMessage'], arn(one('AWS::SQS::Queue', 'DeadRecords'))),
      ]),
    )
  })

  it('the queue function may also receive and delete messages', () => {
    expect(rightsOf('Queue')).toEqual(
      sorted([
        log('Queue'),
        ...onTables(),
        statement(['sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'], arn(one('AWS::SQS::Queue', 'Commands'))),
      ]),
    )
  })

  it('the drain function may also remove stale rows of views', () => {
    expect(rightsOf('Drain')).toEqual(sorted([log('Drain'), ...onTables(['BatchWriteItem'])]))
  })

  it('no role has a managed policy or a wildcard', () => {
    for (const [, role] of template.of('AWS::IAM::Role')) expect(role.Properties).not.toHaveProperty('ManagedPolicyArns')
    for (const type of ['AWS::IAM::Policy', 'AWS::SQS::QueuePolicy'])
      for (const [id, { Properties }] of template.of(type)) {
        const { Statement } = Properties.PolicyDocument as { Statement: readonly { Effect: string }[] }
        const allowing = Statement.filter(({ Effect }) => Effect !== 'Deny')
        expect(JSON.stringify(allowing), id).not.toContain('*')
      }
    template.all.resourceCountIs('AWS::IAM::Role', functionNames.length)
  })

  it('only the API and the schedule may call a function', () => {
    const callers = template
      .of('AWS::Lambda::Permission')
      .map(([, { Properties }]) => [Properties.FunctionName, Properties.Principal])
    expect(sorted(callers)).toEqual(
      sorted([
        [arn(functionOf('Command')), 'apigateway.amazonaws.com'],
        [arn(functionOf('Drain')), 'events.amazonaws.com'],
      ]),
    )
    for (const [, { Properties }] of template.of('AWS::Lambda::Permission')) expect(Properties.SourceArn).toBeDefined()
  })

  const statement = (names: readonly string[], Resource: unknown): Right => ({
    Action: names.map((name) => (name.includes(':') ? name : `dynamodb:${name}`)),
    Effect: 'Allow',
    Resource,
  })

  function rightsOf(name: string) {
    const [, policy] = one('AWS::IAM::Policy', `${name}Role`)
    expect(policy.Properties.Roles).toEqual([{ Ref: one('AWS::IAM::Role', `${name}Role`)[0] }])
    return sorted(template.rights(name))
  }
})

describe('the functions', () => {
  it.each([
    ['Command', 1024, 15],
    ['Stream', 512, 60],
    ['Queue', 512, 30],
    ['Drain', 512, 900],
  ])('the function %s runs on Node 22 and ARM, with its tables and a log that expires', (name, memory, timeout) => {
    const [log, { Properties: logProperties }] = one('AWS::Logs::LogGroup', `${name}Log`)
    expect(logProperties.RetentionInDays).toBe(30)
    expect(functionOf(name)[1].Properties).toMatchObject({
      Runtime: 'nodejs22.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      MemorySize: memory,
      Timeout: timeout,
      LoggingConfig: { LogFormat: 'JSON', LogGroup: { Ref: log } },
      Environment: {
        Variables: {
          EVENTS_TABLE: { Ref: table('events')[0] },
          SNAPSHOTS_TABLE: { Ref: table('snapshots')[0] },
          VIEWS_TABLE: { Ref: table('views')[0] },
          META_TABLE: { Ref: table('meta')[0] },
        },
      },
    })
  })

  it('the stack has four functions, each with its own bundle', () => {
    const keys = template.of('AWS::Lambda::Function').map(([, { Properties }]) => (Properties.Code as { S3Key: string }).S3Key)
    expect(new Set(keys).size).toBe(4)
    expect(keys).toHaveLength(4)
  })
})

describe('the API', () => {
  it('the API admits only tokens of the issuer', () => {
    const [authorizer] = one('AWS::ApiGatewayV2::Authorizer', 'Api')
    template.all.hasResourceProperties('AWS::ApiGatewayV2::Authorizer', {
      AuthorizerType: 'JWT',
      IdentitySource: ['$request.header.Authorization'],
      JwtConfiguration: { Issuer: 'https://login.example.com/', Audience: ['bank'] },
    })
    const routes = template.of('AWS::ApiGatewayV2::Route').map(([, { Properties }]) => Properties)
    expect(routes).toMatchObject([{ RouteKey: '$default', AuthorizationType: 'JWT', AuthorizerId: { Ref: authorizer } }])
  })

  it('the API forwards requests as payload 2.0, throttled and logged', () => {
    template.all.hasResourceProperties('AWS::ApiGatewayV2::Integration', {
      IntegrationType: 'AWS_PROXY',
      PayloadFormatVersion: '2.0',
      IntegrationUri: arn(functionOf('Command')),
    })
    template.all.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: '$default',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 500, ThrottlingBurstLimit: 1_000 },
      AccessLogSettings: { DestinationArn: arn(one('AWS::Logs::LogGroup', 'ApiLog')), Format: Match.stringLikeRegexp('status') },
    })
  })
})

describe('the stream, the queue and the schedule', () => {
  it('the stream continues from a failed record and dead-letters one that fails for too long', () => {
    template.all.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: arn(table('events'), 'StreamArn'),
      FunctionName: { Ref: functionOf('Stream')[0] },
      StartingPosition: 'TRIM_HORIZON',
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      BisectBatchOnFunctionError: true,
      FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] },
      BatchSize: 100,
      MaximumRetryAttempts: 8,
      MaximumRecordAgeInSeconds: 43_200,
      DestinationConfig: { OnFailure: { Destination: arn(one('AWS::SQS::Queue', 'DeadRecords')) } },
    })
  })

  it('the queue has a dead-letter queue and a visibility timeout longer than the function', () => {
    template.all.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: arn(one('AWS::SQS::Queue', 'Commands')),
      FunctionName: { Ref: functionOf('Queue')[0] },
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      BatchSize: 1,
    })
    expect(one('AWS::SQS::Queue', 'Commands')[1].Properties).toMatchObject({
      FifoQueue: true,
      ContentBasedDeduplication: false,
      VisibilityTimeout: 180,
      RedrivePolicy: { deadLetterTargetArn: arn(one('AWS::SQS::Queue', 'DeadCommands')), maxReceiveCount: 5 },
    })
    template.all.resourceCountIs('AWS::Lambda::EventSourceMapping', 2)
  })

  it.each(['DeadRecords', 'DeadCommands'])('the dead-letter queue %s keeps messages for fourteen days', (name) => {
    expect(one('AWS::SQS::Queue', name)[1].Properties.MessageRetentionPeriod).toBe(14 * 24 * 60 * 60)
  })

  it('every queue requires TLS', () => {
    const queues = template.of('AWS::SQS::QueuePolicy').flatMap(([, { Properties }]) => Properties.Queues as { Ref: string }[])
    expect(queues.map(({ Ref }) => Ref).sort()).toEqual(
      template
        .of('AWS::SQS::Queue')
        .map(([id]) => id)
        .sort(),
    )
  })

  it('the drain runs once a day', () => {
    template.all.hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(1 day)',
      State: 'ENABLED',
      Targets: [Match.objectLike({ Arn: arn(functionOf('Drain')) })],
    })
  })
})

describe('the alarms', () => {
  const alarms = (from = template) =>
    from.of('AWS::CloudWatch::Alarm').map(([id, { Properties }]) => ({ id, ...Properties })) as unknown as readonly {
      readonly id: string
      readonly Namespace: string
      readonly MetricName: string
      readonly Threshold: number
      readonly Dimensions: readonly { readonly Value: { readonly Ref?: string; readonly 'Fn::GetAtt'?: readonly string[] } }[]
      readonly AlarmActions?: unknown
    }[]

  it('alarms watch errors and throttles, the age of the stream, dead letters and the API', () => {
    const watched = alarms().map(({ MetricName, Threshold, Dimensions }) => [
      MetricName,
      Threshold,
      Dimensions[0]?.Value.Ref ?? Dimensions[0]?.Value['Fn::GetAtt']?.[0],
    ])
    const functions = ['Command', 'Stream', 'Queue', 'Drain'].map((name) => functionOf(name)[0])
    expect(sorted(watched)).toEqual(
      sorted([
        ...functions.flatMap((id) => [
          ['Errors', 1, id],
          ['Throttles', 1, id],
        ]),
        ['IteratorAge', 300_000, functionOf('Stream')[0]],
        ['ApproximateNumberOfMessagesVisible', 1, one('AWS::SQS::Queue', 'DeadRecords')[0]],
        ['ApproximateNumberOfMessagesVisible', 1, one('AWS::SQS::Queue', 'DeadCommands')[0]],
        ['5xx', 1, one('AWS::ApiGatewayV2::Api', 'Api')[0]],
      ]),
    )
  })

  it('alarms send mail if an address is set, and otherwise only show in the console', () => {
    expect(alarms().every(({ AlarmActions }) => AlarmActions === undefined)).toBe(true)
    template.all.resourceCountIs('AWS::SNS::Topic', 0)
    const withMail = new BankTemplate({ bundles, alarmEmail: 'ann@example.com' })
    const [topic] = withMail.one('AWS::SNS::Topic', 'Alarms')
    withMail.all.hasResourceProperties('AWS::SNS::Subscription', {
      Protocol: 'email',
      Endpoint: 'ann@example.com',
      TopicArn: { Ref: topic },
    })
    for (const { AlarmActions } of alarms(withMail)) expect(AlarmActions).toEqual([{ Ref: topic }])
  })
})

/** Sorted independently of the order of construction. */
const sorted = <T>(values: readonly T[]): readonly T[] =>
  [...values].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
