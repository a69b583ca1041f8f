/** Modules that workerd has, typed without the global names of @cloudflare/workers-types, which would hide Node's. */

declare module 'cloudflare:workers' {
  import { CloudflareWorkersModule } from '@cloudflare/workers-types'
  export import DurableObject = CloudflareWorkersModule.DurableObject
  export import WorkerEntrypoint = CloudflareWorkersModule.WorkerEntrypoint
  export import RpcTarget = CloudflareWorkersModule.RpcTarget
  export const env: Record<string, unknown>
}

declare module 'cloudflare:test' {
  import type { DurableObjectId, DurableObjectNamespace, DurableObjectState, R2Bucket } from '@cloudflare/workers-types'
  /** All that is needed of a stub; its full type is too deep for the compiler. */
  export type Stub = { readonly id: DurableObjectId }
  /** The bindings of vitest.workers.config.ts. */
  export const env: { readonly SQL: DurableObjectNamespace; readonly BUCKET: R2Bucket }
  export const SELF: { fetch(request: string | Request, init?: RequestInit): Promise<Response> }
  /** Run `work` inside the object that `stub` points to. */
  export function runInDurableObject<O, R>(
    stub: Stub,
    work: (instance: O, state: DurableObjectState) => R | Promise<R>,
  ): Promise<R>
  /** Run the object's alarm now. @returns whether one was set */
  export function runDurableObjectAlarm(stub: Stub): Promise<boolean>
  /** Drop every object from memory; their storage stays. */
  export function abortAllDurableObjects(): Promise<void>
  /** Delete everything stored in the bindings. */
  export function reset(): Promise<void>
}
