import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Architecture, Code, Function as LambdaFunction, LoggingFormat, Runtime } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import { type FunctionName, functionSettings } from './settings.ts'

export interface BankFunctionProps {
  readonly name: FunctionName
  /** The folder with `index.mjs`. */
  readonly bundle: string
  readonly environment: Record<string, string>
  readonly statements: readonly PolicyStatement[]
}

/** A function whose log expires, and whose role has only the permissions it is given. */
export class BankFunction extends Construct {
  readonly function: LambdaFunction
  readonly #role: Role

  constructor(scope: Construct, id: string, { name, bundle, environment, statements }: BankFunctionProps) {
    super(scope, id)
    const { memory, timeout } = functionSettings[name]
    const logGroup = new LogGroup(this, 'Log', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY })
    // Instead of the managed policy of the CDK, which may write to every log of the account.
    this.#role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    this.allow(['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.logGroupArn)
    for (const statement of statements) this.#role.addToPrincipalPolicy(statement)
    this.function = new LambdaFunction(this, 'Function', {
      code: Code.fromAsset(bundle),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_22_X,
      architecture: Architecture.ARM_64, // a fifth cheaper than x86 for the same memory
      memorySize: memory,
      timeout: Duration.seconds(timeout),
      environment,
      role: this.#role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
    })
  }

  allow(actions: readonly string[], resource: string): void {
    this.#role.addToPrincipalPolicy(new PolicyStatement({ actions: [...actions], resources: [resource] }))
  }
}
