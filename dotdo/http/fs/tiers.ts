/** `/fs/NAME?tiers`: what of a filesystem is cold, what becomes so, and a pass now. fsx/TIERS.md tells the whole story.
 *
 *      GET      what is where, and the policy
 *      PUT      sets the policy: { olderThan, largerThan, keep }
 *      DELETE   ends it; what has left stays where it is
 *      POST     runs a pass, and tells what it did */
import { Failure } from '@dotdo/core/errors'
import { type TierOptions, tierPolicyOf } from '@dotdo/fsx/filesystem'
import { FSX_TIER } from '@dotdo/fsx/tier'
import type { Context } from 'hono'
import { bodyText } from '../body.ts'
import type { Target } from './target.ts'
import type { Way } from './way.ts'

async function policyIn(context: Context): Promise<TierOptions> {
  const text = await bodyText(context)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid', `the body is not JSON: ${(error as Error).message}`)
  }
  if (typeof body !== 'object' || body === null) throw new Failure('invalid', 'the body is no policy: { olderThan }')
  return body as TierOptions
}

/** Answer a request about tiers.
 *  @throws invalid for what is no policy; unsupported for another method, and where there is no lake */
export async function answerTiers(context: Context, way: Way, { path }: Target): Promise<Response> {
  const { method } = context.req
  if (path !== '/') throw new Failure('invalid', 'tiers are of a whole filesystem: /fs/NAME?tiers')
  if (method === 'POST') return context.json((await way.job(FSX_TIER)) as object)
  if (method === 'PUT') await way.call('setTier', { policy: tierPolicyOf(await policyIn(context)) })
  else if (method === 'DELETE') await way.call('setTier', { policy: null })
  else if (method !== 'GET') throw new Failure('unsupported', `${method} is nothing that is done to tiers`)
  return context.json(await way.call('tierStatus', {}))
}
