import type {
  ALBEvent,
  APIGatewayProxyEventV2,
  APIGatewayProxyEventV2WithJWTAuthorizer,
  DynamoDBRecord,
  DynamoDBStreamEvent,
  LambdaFunctionURLEvent,
  ScheduledEvent,
  SQSEvent,
  SQSRecord,
} from 'aws-lambda'

/** Events as AWS documents them, with what a test is about in their place. */

/** The context as far as the functions look at it. */
export const remaining = (ms: number) => ({ getRemainingTimeInMillis: () => ms })

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html */
export function httpApi(
  changes: Partial<APIGatewayProxyEventV2> = {},
  { method = 'POST', stage = '$default' } = {},
): APIGatewayProxyEventV2WithJWTAuthorizer {
  const path = changes.rawPath ?? '/my/path'
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: 'parameter1=value1&parameter1=value2&parameter2=value',
    cookies: ['cookie1=a', 'cookie2=b'],
    headers: { header1: 'value1', header2: 'value1,value2', 'content-type': 'text/plain' },
    queryStringParameters: { parameter1: 'value1,value2', parameter2: 'value' },
    body: 'Hello from Lambda',
    pathParameters: { parameter1: 'value1' },
    isBase64Encoded: false,
    stageVariables: { stageVariable1: 'value1', stageVariable2: 'value2' },
    ...changes,
    requestContext: {
      accountId: '123456789012',
      apiId: 'api-id',
      authentication: {
        clientCert: {
          clientCertPem: 'CERT_CONTENT',
          subjectDN: 'www.example.com',
          issuerDN: 'Example issuer',
          serialNumber: 'a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1:a1',
          validity: { notBefore: 'May 28 12:30:02 2019 GMT', notAfter: 'Aug  5 09:36:04 2021 GMT' },
        },
      },
      authorizer: { jwt: { claims: { claim1: 'value1', claim2: 'value2' }, scopes: ['scope1', 'scope2'] } },
      domainName: 'id.execute-api.us-east-1.amazonaws.com',
      domainPrefix: 'id',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'agent' },
      requestId: 'id',
      routeKey: '$default',
      stage,
      time: '12/Mar/2020:19:03:58 +0000',
      timeEpoch: 1583348638390,
    },
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads */
export function functionUrl(changes: Partial<LambdaFunctionURLEvent> = {}, method = 'GET'): LambdaFunctionURLEvent {
  const path = changes.rawPath ?? '/'
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: {
      'x-amzn-tls-version': 'TLSv1.2',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
      'x-forwarded-for': '123.123.123.123',
      'x-amzn-trace-id': 'Root=1-62ecd163-5f302e550dcde3b12402207d',
      host: 'abc123.lambda-url.us-east-1.on.aws',
      'accept-encoding': 'gzip, deflate, br',
      'user-agent': 'agent',
    },
    isBase64Encoded: false,
    ...changes,
    requestContext: {
      accountId: 'anonymous',
      apiId: 'abc123',
      domainName: 'abc123.lambda-url.us-east-1.on.aws',
      domainPrefix: 'abc123',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '123.123.123.123', userAgent: 'agent' },
      requestId: 'e1506fd5-9e7b-434f-bd42-4f8fa224b599',
      routeKey: '$default',
      stage: '$default',
      time: '05/Aug/2022:08:14:39 +0000',
      timeEpoch: 1659687279885,
    },
  }
}

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html */
export const loadBalancer: ALBEvent = {
  requestContext: { elb: { targetGroupArn: 'arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/lambda/49e9' } },
  httpMethod: 'GET',
  path: '/lambda',
  queryStringParameters: { query: '1234ABCD' },
  headers: { accept: 'text/html', host: 'lambda-alb-123578498.us-east-2.elb.amazonaws.com' },
  body: '',
  isBase64Encoded: false,
}

/** https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html, shortened */
export const restApi = {
  resource: '/',
  path: '/',
  httpMethod: 'GET',
  headers: { Host: '70ixmpl4fl.execute-api.us-east-2.amazonaws.com' },
  multiValueHeaders: { Host: ['70ixmpl4fl.execute-api.us-east-2.amazonaws.com'] },
  queryStringParameters: null,
  requestContext: { resourceId: '2gxmpl', resourcePath: '/', httpMethod: 'GET', path: '/Prod/', stage: 'Prod' },
  body: null,
  isBase64Encoded: false,
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export const queued = (messageId: string, body: unknown, changes: Partial<SQSRecord> = {}): SQSRecord => ({
  messageId,
  receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...',
  body: typeof body === 'string' ? body : JSON.stringify(body),
  messageAttributes: {},
  md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
  eventSource: 'aws:sqs',
  eventSourceARN: 'arn:aws:sqs:us-east-2:123456789012:my-queue',
  awsRegion: 'us-east-2',
  ...changes,
  attributes: {
    ApproximateReceiveCount: '1',
    SentTimestamp: '1545082649183',
    SenderId: 'AIDAIENQZJOLO23YVJ4VO',
    ApproximateFirstReceiveTimestamp: '1545082649185',
    ...changes.attributes,
  },
})

/** The same out of a FIFO queue. */
export const inGroup = (group: string, messageId: string, body: unknown): SQSRecord => {
  const message = queued(messageId, body, { eventSourceARN: 'arn:aws:sqs:us-east-2:123456789012:fifo.fifo' })
  return {
    ...message,
    attributes: {
      ...message.attributes,
      SequenceNumber: '18849496460467696128',
      MessageGroupId: group,
      MessageDeduplicationId: messageId,
    },
  }
}

export const sqs = (...Records: SQSRecord[]): SQSEvent => ({ Records })

/** https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html: a record of the table of events. */
export function inserted(
  at: number,
  aggregateId: string,
  sequence: number,
  {
    type = 'counter',
    eventName = 'INSERT',
    keysOnly = false,
  }: { type?: string; eventName?: DynamoDBRecord['eventName']; keysOnly?: boolean } = {},
): DynamoDBRecord {
  const Keys = { AggregateTypeAndId: { S: `${type}:${aggregateId}` }, AggregateIdSequence: { N: String(sequence) } }
  const NewImage = {
    ...Keys,
    AggregateType: { S: type },
    AggregateId: { S: aggregateId },
    EventType: { S: 'Counted' },
    Payload: { B: 'eyJieSI6MX0=' },
  }
  return {
    eventID: `c4ca4238a0b923820dcc509a6f7584${at}`,
    eventVersion: '1.1',
    eventName,
    eventSource: 'aws:dynamodb',
    awsRegion: 'us-east-1',
    eventSourceARN: 'arn:aws:dynamodb:us-east-1:123456789012:table/Events/stream/2015-06-27T00:48:05.899',
    dynamodb: {
      ApproximateCreationDateTime: 1428537600,
      Keys,
      ...(!keysOnly && eventName !== 'REMOVE' && { NewImage }),
      SequenceNumber: `44215845000000000174504${39000 + at}`,
      SizeBytes: 26,
      StreamViewType: keysOnly ? 'KEYS_ONLY' : 'NEW_IMAGE',
    },
  }
}

export const stream = (...Records: DynamoDBRecord[]): DynamoDBStreamEvent => ({ Records })

/** https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html */
export const scheduled: ScheduledEvent = {
  version: '0',
  id: '53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa',
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '123456789012',
  time: '2015-10-08T16:53:06Z',
  region: 'us-east-1',
  resources: ['arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule'],
  detail: {},
}
