import { fileURLToPath } from 'node:url'
import { App } from 'aws-cdk-lib'
import { bundleFunctions } from './bundle.ts'
import { BankStack } from './stack.ts'

/**
 * Entry of `cdk`, named in `cdk.json`. Its context has the settings: `cdk deploy -c tokenIssuer=…
 * -c tokenAudience=…`.
 */
const app = new App()

const setting = (name: string): string | undefined => app.node.tryGetContext(name) || undefined

function needed(name: string, what: string): string {
  const value = setting(name)
  if (value === undefined) throw new Error(`Say ${what} with -c ${name}=…: without it the API would be open to everybody.`)
  return value
}

const alarmEmail = setting('alarmEmail')
new BankStack(app, 'ServerlessBank', {
  bundles: await bundleFunctions(fileURLToPath(new URL('dist/deploy', import.meta.url))),
  tokens: {
    issuer: needed('tokenIssuer', 'who issues the tokens of your users'),
    audience: needed('tokenAudience', 'for whom the tokens are issued').split(','),
  },
  removable: setting('removable') === 'true',
  ...(alarmEmail === undefined ? {} : { alarmEmail }),
})
app.synth()
