import { App } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { BankStack, type BankStackProps } from '../stack.ts'

export interface Resource {
  readonly Type: string
  readonly Properties: Readonly<Record<string, unknown>>
  readonly DeletionPolicy?: string
  readonly UpdateReplacePolicy?: string
}

/** The template for CloudFormation. */
export class BankTemplate {
  readonly all: Template

  constructor(props: Pick<BankStackProps, 'bundles'> & Partial<BankStackProps>) {
    const tokens = { issuer: 'https://login.example.com/', audience: ['bank'] }
    this.all = Template.fromStack(new BankStack(new App(), 'Bank', { tokens, ...props }))
  }

  of(type: string): readonly (readonly [id: string, resource: Resource])[] {
    return Object.entries(this.all.findResources(type) as Record<string, Resource>)
  }

  /** The only resource of a type whose logical id starts with `name`. */
  one(type: string, name: string): readonly [id: string, resource: Resource] {
    const found = this.of(type).filter(([id]) => id.startsWith(name))
    if (found.length !== 1) throw new Error(`There are ${found.length} ${type} called ${name}.`)
    return found[0] as readonly [string, Resource]
  }

  table(role: string): readonly [id: string, resource: Resource] {
    return this.one('AWS::DynamoDB::Table', `Tables${role}`)
  }

  /** Permissions of the role of a function. */
  rights(name: string): readonly Right[] {
    const [, policy] = this.one('AWS::IAM::Policy', `${name}Role`)
    const { Statement } = policy.Properties.PolicyDocument as {
      Statement: readonly (Omit<Right, 'Action'> & { Action: string | string[] })[]
    }
    return Statement.map((one) => ({ ...one, Action: [one.Action].flat().sort() }))
  }
}

export interface Right {
  readonly Action: readonly string[]
  readonly Effect: string
  readonly Resource: unknown
}

/** The ARN of a resource, as in a template. */
export const arn = ([id]: readonly [id: string, resource: Resource], attribute = 'Arn') => ({ 'Fn::GetAtt': [id, attribute] })
