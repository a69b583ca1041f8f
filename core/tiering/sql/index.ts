/** SQL over hot and cold rows. */

export { plannerCalls } from './planner/partial-call.ts'
export * from './port.ts'
